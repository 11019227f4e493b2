//! Each rule by itself, and all of them at once against a count from the whole history.

use proptest::prelude::*;

use super::*;

const DASH: Option<HttpPath> = Some(HttpPath::Dash);
const HLS: Option<HttpPath> = Some(HttpPath::Hls);

const MPD: Asked = Asked::Manifest(HttpPath::Dash);
const PLAYLIST: Asked = Asked::Manifest(HttpPath::Hls);
const SEGMENT: Asked = Asked::Media(None);
const PART: Asked = Asked::Media(HLS);

struct Talk {
    roll: Roll,
    id: BroadcastId,
    start: Instant,
    now: Instant,
    numbers: u32,
}

impl Talk {
    fn new() -> Self {
        let start = Instant::now();
        let id = "talk".parse().unwrap();
        Self { roll: Roll::default(), id, start, now: start, numbers: 0 }
    }

    fn at(&mut self, secs: f64) -> &mut Self {
        self.now = self.start + Duration::from_secs_f64(secs);
        self
    }

    /// The next report of `viewer`, from a browser of its own in a network of its own.
    fn says(&mut self, viewer: u64, on: Option<HttpPath>) -> Result<(), Beyond> {
        self.says_from(browser(viewer), viewer, on)
    }

    fn says_from(&mut self, from: Source, viewer: u64, on: Option<HttpPath>) -> Result<(), Beyond> {
        self.numbers += 1;
        self.roll.said(&self.id, from, Said { viewer, number: self.numbers, on }, self.now)
    }

    fn asks(&mut self, browser_of: u64, asked: &[Asked]) {
        for asked in asked {
            self.roll.asked(&self.id, browser(browser_of), *asked, self.now).unwrap();
        }
    }

    fn count(&mut self) -> [u32; 2] {
        self.roll.count(self.now).map(|(_, count)| count).next().unwrap_or_default()
    }
}

fn browser(of: u64) -> Source {
    Source { browser: of, client: of }
}

#[test]
fn who_reports_counts_at_once_until_it_leaves_or_is_silent() {
    let mut talk = Talk::new();
    talk.says(1, DASH).unwrap();
    talk.says(2, HLS).unwrap();
    assert_eq!(talk.count(), [1, 1]);
    talk.at(10.0).says(1, DASH).unwrap();
    talk.at(20.0).says(1, None).unwrap();
    assert_eq!(talk.count(), [0, 1]);
    assert_eq!(talk.at(24.9).count(), [0, 1]);
    assert_eq!(talk.at(25.0).count(), [0, 0]);
    assert!(talk.roll.rooms.is_empty(), "nothing is kept of those who have gone");
}

#[test]
fn one_report_may_be_lost() {
    let mut talk = Talk::new();
    talk.says(1, DASH).unwrap();
    assert_eq!(talk.at(20.0).count(), [1, 0]);
    talk.says(1, DASH).unwrap();
    assert_eq!(talk.at(44.0).count(), [1, 0]);
}

#[test]
fn a_viewer_is_on_one_path_and_by_webrtc_its_session_counts() {
    let mut talk = Talk::new();
    talk.says(1, None).unwrap();
    assert_eq!(talk.count(), [0, 0]);
    assert!(talk.roll.rooms.is_empty(), "of those on WebRTC nothing is kept");
    for (on, count) in [(DASH, [1, 0]), (HLS, [0, 1]), (DASH, [1, 0]), (None, [0, 0])] {
        talk.says(1, on).unwrap();
        assert_eq!(talk.count(), count, "{on:?}");
    }
}

#[test]
fn a_report_that_was_overtaken_is_not_believed() {
    let mut talk = Talk::new();
    let mut said = |number, on, at| {
        let said = Said { viewer: 1, number, on };
        let (id, now) = (talk.id.clone(), talk.start + Duration::from_secs(at));
        talk.roll.said(&id, browser(1), said, now).unwrap();
        talk.roll.count(now).map(|(_, count)| count).next().unwrap_or_default()
    };
    assert_eq!(said(0, DASH, 0), [1, 0]);
    assert_eq!(said(2, None, 1), [0, 0]);
    assert_eq!(said(1, DASH, 2), [0, 0]);
    // It comes back, from a long pause or to this path.
    assert_eq!(said(3, HLS, 3), [0, 1]);
    assert_eq!(said(3, DASH, 4), [0, 1]);
}

#[test]
fn who_does_not_report_counts_by_the_media_that_it_asks_for() {
    let mut talk = Talk::new();
    for at in 0..=20 {
        talk.at(f64::from(at));
        talk.asks(1, &[MPD, SEGMENT]);
        talk.asks(2, &[PLAYLIST, PART]);
        // Looks at the manifest, and at no media.
        talk.asks(3, &[MPD]);
        // Once told what path it is, it asks for segments alone.
        talk.asks(4, if at == 0 { &[MPD, SEGMENT] } else { &[SEGMENT] });
        // Nobody can tell what path it plays by.
        talk.asks(5, &[SEGMENT]);
        let expect = if at < 12 { [0, 0] } else { [2, 1] };
        assert_eq!(talk.count(), expect, "after {at} s");
    }
    assert_eq!(talk.at(34.9).count(), [2, 1]);
    assert_eq!(talk.at(35.0).count(), [0, 0]);
    assert!(talk.roll.rooms.is_empty());
}

#[test]
fn who_asks_for_the_longest_segments_counts_all_the_time() {
    let mut talk = Talk::new();
    for segment in 0..10 {
        talk.at(f64::from(segment) * 10.0).asks(1, &[MPD, SEGMENT]);
        assert_eq!(talk.count(), [u32::from(segment >= 2), 0]);
    }
    talk.at(106.0).asks(1, &[SEGMENT]);
    assert_eq!(talk.count(), [0, 0], "after a pause it begins anew");
}

#[test]
fn what_a_reporter_asks_for_is_not_somebody_else() {
    let mut talk = Talk::new();
    for at in 0..60 {
        let now = f64::from(at);
        talk.at(now).asks(1, &[MPD, SEGMENT]);
        // It plays after two seconds, and goes over to WebRTC in the end.
        match at {
            2 | 12 | 22 => talk.says(1, DASH).unwrap(),
            30 => talk.says(1, None).unwrap(),
            _ => {}
        }
        let expect = match at {
            0..2 | 30..43 => 0,
            // Until then it asked for itself. Who still asks is another behind the same address.
            _ => 1,
        };
        assert_eq!(talk.count(), [expect, 0], "after {at} s");
    }
}

#[test]
fn a_path_that_is_tried_beside_the_one_that_plays_is_nobody() {
    let mut talk = Talk::new();
    for tenth in 0..300 {
        talk.at(f64::from(tenth) / 10.0);
        if tenth % 100 == 0 {
            talk.says(1, HLS).unwrap();
        }
        talk.asks(1, &[PLAYLIST, PART]);
        // As long as the ladder gives LL-DASH.
        if (50..170).contains(&tenth) {
            talk.asks(1, &[MPD, SEGMENT]);
        }
        assert_eq!(talk.count(), [0, 1], "after {tenth} tenths");
    }
}

#[test]
fn a_browser_without_reports_of_its_own_is_one_on_each_path_that_it_asks_for() {
    let mut talk = Talk::new();
    for at in 0..=12 {
        // Two viewers behind one address, which nobody can tell apart.
        talk.at(f64::from(at)).asks(1, &[PLAYLIST, PART, MPD, SEGMENT]);
        talk.asks(1, &[PLAYLIST, PART, MPD, SEGMENT]);
    }
    assert_eq!(talk.count(), [1, 1]);
}

#[test]
fn one_client_adds_a_hall_and_no_more() {
    let mut talk = Talk::new();
    let hall = |of| Source { browser: of, client: 7 };
    let max = u64::from(REPORTERS_PER_CLIENT_MAX);
    let taken = (0..1_000).filter(|of| talk.says_from(hall(*of), *of, DASH).is_ok()).count();
    assert_eq!(taken as u64, max);
    assert_eq!(talk.says_from(hall(max), max, HLS), Err(Beyond::Client));
    talk.says(2_000, HLS).unwrap();
    assert_eq!(talk.count(), [REPORTERS_PER_CLIENT_MAX, 1]);
    // Who leaves makes room, though not at once for another name.
    talk.says_from(hall(0), 0, None).unwrap();
    assert_eq!(talk.says_from(hall(max), max, HLS), Err(Beyond::Client));
    talk.at(5.0).count();
    talk.says_from(hall(max), max, HLS).unwrap();
    assert_eq!(talk.count(), [REPORTERS_PER_CLIENT_MAX - 1, 2]);
    let id = talk.id.clone();
    let asked = (0..1_000).filter(|of| talk.roll.asked(&id, hall(*of), MPD, talk.now).is_ok());
    assert_eq!(asked.count(), ASKERS_PER_CLIENT_MAX as usize);
}

#[test]
fn who_goes_over_to_another_network_takes_its_place_there() {
    let mut talk = Talk::new();
    talk.says(1, DASH).unwrap();
    talk.says_from(browser(2), 1, DASH).unwrap();
    assert_eq!(talk.count(), [1, 0]);
    let room = talk.roll.rooms.values().next().unwrap();
    assert_eq!(room.reporters_by_client.0, HashMap::from([(2, 1)]));
    assert_eq!(room.covered, HashMap::from([((2, HttpPath::Dash), 1)]));
}

#[test]
fn memory_has_a_bound() {
    let mut talk = Talk::new();
    let broadcast = u64::try_from(BROADCAST_MAX).unwrap();
    let edge = u64::try_from(EDGE_MAX).unwrap();
    assert!((0..broadcast).all(|viewer| talk.says(viewer, DASH).is_ok()));
    assert_eq!(talk.says(broadcast, DASH), Err(Beyond::Broadcast));
    // Those who are there are heard all the same.
    talk.says(0, HLS).unwrap();
    assert_eq!(talk.count(), [u32::try_from(broadcast).unwrap() - 1, 1]);
    talk.id = "other".parse().unwrap();
    assert!((broadcast..edge).all(|viewer| talk.says(viewer, DASH).is_ok()));
    assert_eq!(talk.says(edge, DASH), Err(Beyond::Edge));
    for of in 0..broadcast {
        talk.asks(of, &[MPD]);
    }
    let id = talk.id.clone();
    assert_eq!(talk.roll.asked(&id, browser(edge), MPD, talk.now), Err(Beyond::Broadcast));
    assert_eq!(talk.at(25.0).count(), [0, 0]);
    talk.says(edge, DASH).unwrap();
}

/// What happened, and when, in ms.
#[derive(Clone, Copy, Debug)]
enum Event {
    Says { viewer: u64, browser: u64, on: Option<HttpPath> },
    Asks { browser: u64, asked: Asked },
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let path = prop_oneof![Just(DASH), Just(HLS), Just(None)];
    let says = (0..4_u64, 0..3_u64, path);
    let says = says.prop_map(|(viewer, browser, on)| Event::Says { viewer, browser, on });
    let asked = prop_oneof![Just(MPD), Just(PLAYLIST), Just(SEGMENT), Just(SEGMENT), Just(PART)];
    let asks = (0..3_u64, asked).prop_map(|(browser, asked)| Event::Asks { browser, asked });
    let pause = prop_oneof![5 => 1..3_000_u64, 1 => 3_000..30_000_u64];
    let event = (pause, prop_oneof![1 => says, 4 => asks]);
    prop::collection::vec(event, 1..80).prop_map(|mut events| {
        let mut now = 0;
        for (at, _) in &mut events {
            now += *at;
            *at = now;
        }
        events
    })
}

/// The count at `now` from all that happened until then.
fn model(history: &[(u64, Event)], now: u64) -> [u32; 2] {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap();
    let mut count = [0; 2];
    // For how long which browser had a reporter on which path.
    let mut covered = Vec::new();
    for (index, (at, event)) in history.iter().enumerate() {
        let Event::Says { viewer, browser, on: Some(on) } = *event else { continue };
        let next = history[index + 1..].iter().find(
            |(_, event)| matches!(event, Event::Says { viewer: other, .. } if *other == viewer),
        );
        let until = next.map_or(u64::MAX, |(at, _)| *at).min(at + ms(SILENCE_MAX));
        covered.push((browser, on, *at..until));
        count[on as usize] += u32::from((*at..until).contains(&now));
    }
    for browser in 0..3 {
        let (mut path, mut seen) = (None, 0);
        let mut media = [Vec::new(), Vec::new()];
        for (at, event) in history {
            let Event::Asks { browser: of, asked } = *event else { continue };
            if of != browser {
                continue;
            }
            path = asked.path().or(path.filter(|_| at - seen < ms(QUIET_MAX)));
            seen = *at;
            if let Some(path) = path.filter(|_| asked.is_media()) {
                media[path as usize].push(*at);
            }
        }
        for (path, media) in [HttpPath::Dash, HttpPath::Hls].into_iter().zip(media) {
            let apart = |from: u64, to: u64| {
                let mut covered =
                    covered.iter().filter(|(of, on, _)| (*of, *on) == (browser, path));
                to - from >= ms(QUIET_MAX)
                    || covered.any(|(_, _, span)| span.start <= to && from < span.end)
            };
            let mut later = now;
            let run = media.into_iter().rev().take_while(|at| {
                let goes_on = !apart(*at, later);
                later = *at;
                goes_on
            });
            let run: Vec<u64> = run.collect();
            if let (Some(last), Some(first)) = (run.first(), run.last()) {
                count[path as usize] += u32::from(last - first >= ms(TRIAL));
            }
        }
    }
    count
}

proptest! {
    #[test]
    fn the_count_is_that_of_the_whole_history(events in events()) {
        let mut talk = Talk::new();
        for (index, (at, event)) in events.iter().enumerate() {
            talk.now = talk.start + Duration::from_millis(*at);
            // Those who have gone have gone at this moment, and not at the next count.
            talk.count();
            match *event {
                Event::Says { viewer, browser: of, on } => {
                    talk.says_from(browser(of), viewer, on).unwrap();
                }
                Event::Asks { browser, asked } => talk.asks(browser, &[asked]),
            }
            prop_assert_eq!(talk.count(), model(&events[..=index], *at), "after {} ms", at);
        }
    }
}
