//! Every bound of the board: at it the board comes back out of shared data as it was, and beyond it nothing is lost without
//! being counted.

use super::*;

/// The reading of the breaker of each of so many backends.
fn many(ids: &[String], sign: Sign) -> Vec<Reading<'_>> {
    ids.iter().map(|id| reading(AlertKind::BreakerOpened, Some(id), sign)).collect()
}

fn ids(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("b{n}")).collect()
}

/// Looks as leaders do: each takes the board from shared data and leaves it there. Returns what is lost by it.
fn pass_on(board: &mut Board, readings: &[Reading<'_>], now: Timestamp) -> u64 {
    let lost = board.observe(readings, MINUTES, now).lost;
    let read = Board::decode(&board.encode());
    assert_eq!(read, *board);
    *board = read;
    lost
}

/// What the webhook takes from a moment on, call by call.
fn deliver(board: &mut Board, from: u64) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for moment in (from..from + 100_000).step_by(250) {
        if let Some(batch) = board.outbox.take(ms(moment)) {
            calls.push(batch.news.iter().filter_map(|alert| alert.backend.as_deref().map(Into::into)).collect());
            assert_eq!(board.outbox.note(batch.sent(), Delivery::Delivered, ms(moment)), 0);
            *board = Board::decode(&board.encode());
        }
    }
    assert!(board.outbox.is_empty());
    calls
}

#[test]
fn four_hundred_alerts_that_a_webhook_missed_are_all_delivered_in_order_and_once() {
    let (mut board, ids) = (Board::default(), ids(400));
    let mut lost = 0;
    for (n, moment) in (1..=400).zip((0..).step_by(250)) {
        lost += pass_on(&mut board, &many(&ids[..n], Sign::Bad), ms(moment));
        if let Some(batch) = board.outbox.take(ms(moment)) {
            board.outbox.note(batch.sent(), Delivery::Failed, ms(moment));
        }
    }
    let calls = deliver(&mut board, 200_000);
    assert_eq!((calls.concat(), lost), (ids, 0));
    assert_eq!(calls.iter().map(Vec::len).collect::<Vec<_>>(), [MOST_IN_A_CALL; 4]);
}

#[test]
fn around_each_bound_of_the_outbox_what_is_not_delivered_is_counted() {
    for n in [1, MOST_IN_A_CALL, MOST_IN_A_CALL + 1, 255, 256, 257, MOST - 1, MOST, MOST + 1, 2 * MOST + 3] {
        let (mut board, ids) = (Board::default(), ids(n));
        let lost = pass_on(&mut board, &many(&ids, Sign::Bad), ms(0));
        assert_eq!(lost, n.saturating_sub(MOST) as u64, "{n}");
        assert_eq!(deliver(&mut board, 1_000).concat(), ids[lost as usize..], "{n}");
    }
}

#[test]
fn news_in_a_call_that_is_refused_is_lost_and_counted_and_what_came_after_it_is_not() {
    let (mut board, ids) = (Board::default(), ids(150));
    pass_on(&mut board, &many(&ids, Sign::Bad), ms(0));
    let batch = board.outbox.take(ms(500)).expect("due");
    assert_eq!(board.outbox.note(batch.sent(), Delivery::Refused, ms(600)), 100);
    assert_eq!(board.outbox.note(batch.sent(), Delivery::Refused, ms(700)), 0, "it is lost once");
    assert_eq!(deliver(&mut board, 1_000).concat(), ids[100..]);
}

#[test]
fn news_for_a_webhook_that_is_taken_away_is_lost_and_counted() {
    let (mut board, ids) = (Board::default(), ids(300));
    pass_on(&mut board, &many(&ids, Sign::Bad), ms(0));
    let none = Terms { is_sent: false, ..MINUTES };
    let mut lost = || board.observe(&many(&ids, Sign::Bad), none, ms(1)).lost;
    assert_eq!((lost(), lost()), (300, 0));
}

#[test]
fn as_many_alerts_hold_and_are_remembered_as_there_are() {
    let mut board = Board::default();
    let ids = ids(3_000);
    pass_on(&mut board, &many(&ids, Sign::Bad), ms(0));
    assert_eq!(board.active().count(), 3_000);
    for (kept, wanted) in [(2_901, RECENT - 1), (2_900, RECENT), (2_899, RECENT), (0, RECENT)] {
        pass_on(&mut board, &many(&ids[..kept], Sign::Bad), ms(1));
        assert_eq!((board.active().count(), board.recent().count()), (kept, wanted));
    }
}

#[test]
fn a_count_of_more_than_there_may_be_is_no_board() {
    let mut board = Board::default();
    pass_on(&mut board, &many(&ids(MOST), Sign::Bad), ms(0));
    let mut bytes = board.encode();
    // The outbox is last: its count is found where the first of its news begins.
    let count = [0x80, 0x08];
    let place = bytes.windows(2).rposition(|pair| pair == count).expect("a count of 1,024");
    bytes[place] = 0x81;
    assert_eq!(Board::decode(&bytes), Board::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_raised_while_a_webhook_is_down_is_delivered_or_counted(
        bursts in prop::collection::vec((1..700_usize, 0..5_000_u64), 1..4)
    ) {
        let (mut board, mut moment, mut raised, mut lost) = (Board::default(), 0, 0, 0);
        let ids = ids(bursts.iter().map(|(n, _)| n).sum());
        for (n, step) in bursts {
            raised += n;
            lost += pass_on(&mut board, &many(&ids[..raised], Sign::Bad), ms(moment));
            moment += step;
        }
        let delivered = deliver(&mut board, moment + 1_000).concat();
        prop_assert_eq!(delivered.len() as u64 + lost, raised as u64);
        prop_assert_eq!(&delivered[..], &ids[lost as usize..]);
    }
}
