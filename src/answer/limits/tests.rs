use super::*;

fn meters(change: impl FnOnce(&mut Limits)) -> Arc<Meters> {
    let mut limits = Limits::default();
    change(&mut limits);
    Arc::new(Meters::new(&limits))
}

const BATCH: Work = Work { is_batch: true, is_recorded: false };

fn oin(number: u8) -> Oin {
    format!("000000990000000040{number:02}").parse().unwrap()
}

#[test]
fn connections_are_counted_by_party_and_freed_when_they_close() {
    let meters = meters(|limits| limits.connections_each = 2);
    let one = meters.connect(Some(&oin(1))).ok().unwrap();
    let _two = meters.connect(Some(&oin(1))).ok().unwrap();
    assert_eq!(meters.connect(Some(&oin(1))).err(), Some(Excess::Connections));
    assert!(meters.connect(Some(&oin(2))).is_ok(), "another party");
    drop(one);
    assert!(meters.connect(Some(&oin(1))).is_ok());
}

#[test]
fn a_few_connections_beyond_the_share_may_hear_why_and_no_more() {
    let meters = meters(|limits| limits.connections_each = 1);
    let _place = meters.connect(Some(&oin(1))).ok().unwrap();
    let mut told: Vec<_> = (0..TOLD).map(|_| meters.hear(Some(&oin(1))).unwrap()).collect();
    assert!(meters.hear(Some(&oin(1))).is_none() && meters.hear(Some(&oin(2))).is_some());
    told.pop();
    assert!(meters.hear(Some(&oin(1))).is_some());
}

#[actix_web::test]
async fn too_many_at_once_wait_a_second_and_then_are_refused() {
    let meters = meters(|limits| (limits.requests_at_once_each, limits.batches_at_once_each) = (2, 1));
    let (greedy, other) = (meters.connect(Some(&oin(1))).ok().unwrap(), meters.connect(Some(&oin(2))).ok().unwrap());
    let _batch = greedy.enter(BATCH).await.ok().unwrap();
    let began = Instant::now();
    assert_eq!(greedy.enter(BATCH).await.err(), Some(Excess::Batches));
    let second = greedy.enter(Work::default()).await.ok().unwrap();
    assert_eq!(greedy.enter(Work::default()).await.err(), Some(Excess::AtOnce));
    assert!(began.elapsed() >= PATIENCE * 2);
    actix_web::rt::spawn(async {
        sleep(PATIENCE / 2).await;
        drop(second);
    });
    assert!(greedy.enter(Work::default()).await.is_ok(), "a place became free in time");
    let began = Instant::now();
    assert!(other.enter(BATCH).await.is_ok());
    assert!(began.elapsed() < PATIENCE / 10, "another party waits for nobody");
}

#[actix_web::test]
async fn answers_that_wait_keep_the_next_request_out_until_they_are_gone() {
    let meters = meters(|limits| (limits.body_megabytes, limits.body_megabytes_each) = (3, 2));
    let (one, other) = (meters.connect(Some(&oin(1))).ok().unwrap(), meters.connect(Some(&oin(2))).ok().unwrap());
    let (one, other) =
        (one.enter(Work::default()).await.ok().unwrap(), other.enter(Work::default()).await.ok().unwrap());
    let answer = one.body.answer(2 * MEGABYTE + 1);
    assert_eq!((one.body.has_room(0), other.body.has_room(0)), (Err(Excess::Memory), Ok(())));
    let second = other.body.answer(MEGABYTE);
    assert_eq!(other.body.has_room(0), Err(Excess::Busy));
    drop((answer, second));
    assert_eq!((one.body.has_room(0), meters.load().1), (Ok(()), 0));
}

#[actix_web::test]
async fn when_all_together_are_too_many_the_next_one_is_told_at_once() {
    let meters = meters(|limits| (limits.requests_at_once, limits.requests_at_once_each) = (2, 2));
    let (one, two) = (meters.connect(Some(&oin(1))).ok().unwrap(), meters.connect(Some(&oin(2))).ok().unwrap());
    let _running = (one.enter(Work::default()).await.ok().unwrap(), two.enter(Work::default()).await.ok().unwrap());
    assert_eq!(meters.load().0, 2);
    let began = Instant::now();
    assert_eq!(one.enter(Work::default()).await.err(), Some(Excess::Busy));
    assert!(began.elapsed() < PATIENCE / 10);
}

#[actix_web::test]
async fn a_rate_is_that_of_the_party_and_not_of_its_connection() {
    let meters = meters(|limits| limits.requests_per_second_each = 1);
    let ask = |_| {
        let fresh = meters.connect(Some(&oin(1))).ok().unwrap();
        actix_web::rt::spawn(async move { fresh.enter(Work::default()).await.err() })
    };
    let asked: Vec<_> = (0..6).map(ask).collect();
    let mut refused = 0;
    for one in asked {
        refused += u32::from(one.await.unwrap() == Some(Excess::Requests));
    }
    assert!((2..=4).contains(&refused), "two at once, one within the second of patience: {refused}");
    assert!(meters.connect(None).ok().unwrap().enter(Work::default()).await.is_ok());
}

#[actix_web::test]
async fn refusals_beyond_the_rate_are_waited_for_whatever_is_asked_next() {
    let meters = meters(|limits| limits.refusals_per_minute_each = 120);
    let (one, two) = (meters.connect(Some(&oin(1))).ok().unwrap(), meters.connect(Some(&oin(2))).ok().unwrap());
    let entered = one.enter(Work::default()).await.ok().unwrap();
    entered.refused(120);
    assert!(one.enter(Work::default()).await.is_ok(), "so many are free");
    entered.refused(6);
    let began = Instant::now();
    assert_eq!(one.enter(Work::default()).await.err(), Some(Excess::Refusals));
    assert!(began.elapsed() >= PATIENCE);
    assert!(two.enter(Work::default()).await.is_ok(), "another party");
    sleep(Duration::from_millis(2200)).await;
    assert!(one.enter(Work::default()).await.is_ok(), "six are back after three seconds");
}

#[actix_web::test]
async fn bytes_of_bodies_are_bounded_by_party_and_in_all_and_freed_with_the_request() {
    let meters = meters(|limits| (limits.body_megabytes, limits.body_megabytes_each) = (3, 2));
    let (one, two) = (meters.connect(Some(&oin(1))).ok().unwrap(), meters.connect(Some(&oin(2))).ok().unwrap());
    let (first, second) =
        (one.enter(Work::default()).await.ok().unwrap(), two.enter(Work::default()).await.ok().unwrap());
    assert_eq!(first.body.take(2 * MEGABYTE), Ok(()));
    assert_eq!(first.body.take(1), Err(Excess::Memory));
    assert_eq!(second.body.has_room(MEGABYTE + 1), Err(Excess::Busy));
    assert_eq!((second.body.take(MEGABYTE), second.body.take(1)), (Ok(()), Err(Excess::Busy)));
    assert_eq!(meters.load().1, 3 * MEGABYTE);
    drop(first);
    assert_eq!(meters.load().1, MEGABYTE);
    assert_eq!(second.body.take(1), Ok(()));
}
