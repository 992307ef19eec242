//! Parses arguments, runs one command, returns its exit code.

use mimalloc::MiMalloc;
use zeroizing_alloc::ZeroAlloc;

/// What is freed is overwritten: a core dump of the service holds nothing of an epoch that it has destroyed, and one of
/// a custodian's command no salt that it has let go.
#[global_allocator]
static WIPED: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

fn main() -> std::process::ExitCode {
    voorrang::cli::main()
}

#[cfg(test)]
mod tests {
    use std::fs::read_to_string;

    use voorrang::code::{Code, Codes, HouseholdToken, Record, RecordRef};
    use voorrang::link::{RegisterBuilder, Source};
    use voorrang::profile::Profile;

    /// Kilobytes in memory for which the system was asked for huge pages: mappings with the flag `hg`.
    fn asked_for() -> usize {
        let text = read_to_string("/proc/self/smaps").unwrap();
        let (mut resident, mut asked) = (0, 0);
        for line in text.lines() {
            match line.split_once(':') {
                Some(("Rss", size)) => resident = size.trim().trim_end_matches(" kB").parse().unwrap(),
                Some(("VmFlags", flags)) if flags.split(' ').any(|flag| flag == "hg") => asked += resident,
                _ => {}
            }
        }
        asked
    }

    /// The allocator asks, for whatever it has from the system.
    #[test]
    fn a_register_lies_in_huge_pages_where_the_system_has_them() {
        match read_to_string("/sys/kernel/mm/transparent_hugepage/enabled") {
            Ok(enabled) if !enabled.contains("[never]") => {}
            _ => return,
        }
        let profile = Profile::built_in();
        let before = asked_for();
        let mut builder = RegisterBuilder::new(&profile, Source::Population);
        for number in 0..30_000_u64 {
            let mut token = [0; 16];
            token[..8].copy_from_slice(&number.to_be_bytes());
            // Half of the bits.
            let code = |bits: usize| Code::from(vec![0x5555_5555_5555_5555_u64.rotate_left(number as u32); bits / 64]);
            let passes = profile.passes.iter().map(|pass| vec![code(pass.code_bits); pass.held(&profile)]).collect();
            let (id, household) = (RecordRef(token), Some(HouseholdToken(token)));
            let record = Record { id, address: None, household, groups: vec![], codes: Codes { passes } };
            builder.push(record).unwrap();
        }
        let kilobytes = 30_000 * 704 / 1024;
        assert!(asked_for() >= before + kilobytes, "{} of {kilobytes} kB", asked_for() - before);
    }
}
