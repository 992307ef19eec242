//! One decision of a regulation and what it discloses, without the linking: `cargo bench --bench decision`.

use std::hint::black_box;

use criterion::Criterion;
use voorrang::link::{Finding, Groups};
use voorrang::regulate::{Act, Arrears, Conditions, Facts, Regulation};

fn main() {
    let haarlem = Regulation::built_in().remove(0);
    let facts = Facts {
        purpose: Some(haarlem.purposes()[0].id.clone()),
        arrears: Some(Arrears { months: 3.0, days: 0 }),
        conditions: Conditions { tenant_agrees: false, ..Conditions::MET },
        in_stock: Some(true),
        stock: Some(1_000),
        batch: 1,
        ..Facts::new(haarlem.parties()[3].oin.clone(), Act::Ask, haarlem.validity().0)
    };
    let groups = Groups { minor: true, senior_tenant: false, senior_resident: false, oggz: false };
    let finding = Finding { tenants: vec![], certain: true, care_certain: true, groups, apart: false, moved: None };
    let early = Facts { arrears: None, ..facts.clone() };
    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("decide and disclose", |bench| {
        bench.iter(|| {
            let permit = haarlem.decide(black_box(&facts)).expect("a good question");
            permit.disclose(&haarlem, Some(&finding), true)
        });
    });
    criterion.bench_function("refuse", |bench| bench.iter(|| haarlem.decide(black_box(&early)).is_err()));
    criterion.final_summary();
}
