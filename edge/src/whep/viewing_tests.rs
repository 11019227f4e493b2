use super::*;
use crate::whep::history::tests::unit;
use crate::whep::renditions::tests::listing;

const CALM: Load = Load { audio_bps: 0, estimate: Some(50_000_000), loss: 0.0 };
const HD: u8 = 0;
const SD: u8 = 1;

/// Two renditions of one second, and a viewer of the better one.
struct Rig {
    video: Renditions,
    viewing: Viewing,
    now: Instant,
    /// The number of the next frame.
    next: [u64; 2],
}

impl Rig {
    fn new(pin: Option<&str>) -> Self {
        let now = Instant::now();
        let video = Renditions::new(listing(&["hd", "sd"]), Default::default());
        let viewing = Viewing::new(pin.map(str::to_owned), now);
        let mut rig = Self { video, viewing, now, next: [0; 2] };
        for number in 0..31 {
            rig.push(HD, number == 0);
            rig.push(SD, number == 0);
        }
        rig.viewing.begin(&rig.video, &CALM);
        rig
    }

    fn push(&mut self, slot: u8, keyframe: bool) {
        let serial = self.next[usize::from(slot)];
        self.next[usize::from(slot)] += 1;
        let bytes = if slot == HD { 4_000 } else { 400 };
        self.video.history_mut(slot).push(unit(serial, serial * 3_000, keyframe, bytes));
    }

    fn judge(&mut self, load: Load) -> bool {
        self.viewing.judge(&self.video, &load, self.now)
    }

    /// The serial of the keyframe that the viewer goes over at now.
    fn switch(&mut self) -> Option<(u64, Reason)> {
        let switch = self.viewing.switch(&self.video, self.now)?;
        Some((switch.key.serial, switch.reason))
    }

    /// Reports of a calm link until a step up is wanted.
    fn wait_for_calm(&mut self) {
        let began = self.now;
        while !self.judge(CALM) {
            self.now += Duration::from_millis(500);
            assert!(self.now - began < Duration::from_secs(30), "no step up");
        }
    }
}

fn falling() -> Load {
    Load { estimate: Some(200_000), ..CALM }
}

#[test]
fn a_step_down_takes_a_live_keyframe_if_one_comes_soon() {
    let mut rig = Rig::new(None);
    assert_eq!(rig.viewing.on(), Some(HD));
    assert!(rig.judge(falling()));
    assert_eq!(rig.viewing.interest(), 0b11);
    assert_eq!((rig.switch(), rig.viewing.on()), (None, Some(HD)));
    rig.push(SD, false);
    assert!(rig.switch().is_none());
    rig.push(SD, true);
    assert_eq!(rig.switch(), Some((32, Reason::Estimate)));
    assert_eq!((rig.viewing.on(), rig.viewing.interest()), (Some(SD), 0b10));
    assert!(rig.switch().is_none());
}

#[test]
fn a_step_down_waits_no_longer_than_a_moment_for_one() {
    let mut rig = Rig::new(None);
    assert!(rig.judge(falling()));
    assert_eq!(rig.viewing.due(rig.now), Some(rig.now + DOWN_WAIT));
    rig.now += DOWN_WAIT;
    // What is due is not asked for again and again.
    assert_eq!(rig.viewing.due(rig.now), None);
    assert_eq!(rig.switch(), Some((0, Reason::Estimate)));
}

#[test]
fn a_step_up_waits_for_the_keyframe_however_long_that_takes() {
    let mut rig = Rig::new(Some("sd"));
    rig.viewing.pin(None, rig.now);
    rig.wait_for_calm();
    assert_eq!(rig.viewing.due(rig.now), None);
    rig.now += Duration::from_secs(60);
    assert!(rig.switch().is_none());
    rig.push(HD, true);
    assert_eq!(rig.switch(), Some((31, Reason::Calm)));
}

#[test]
fn a_step_up_is_called_off_when_the_link_falls_before_the_keyframe_comes() {
    let mut rig = Rig::new(Some("sd"));
    rig.viewing.pin(None, rig.now);
    rig.wait_for_calm();
    let lossy = Load { loss: 0.05, ..CALM };
    assert!(!rig.judge(lossy));
    rig.push(HD, true);
    assert!(rig.switch().is_none());
    assert_eq!(rig.viewing.on(), Some(SD));
}

#[test]
fn a_pinned_rendition_stays_whatever_the_link_says() {
    let mut rig = Rig::new(Some("video/hd"));
    for _ in 0..100 {
        rig.now += Duration::from_secs(1);
        assert!(!rig.judge(Load { estimate: Some(1_000), loss: 0.9, ..CALM }));
    }
    rig.viewing.pin(Some("sd".to_owned()), rig.now);
    assert!(rig.judge(CALM));
    rig.push(SD, true);
    assert_eq!(rig.switch(), Some((31, Reason::Pinned)));
    for _ in 0..100 {
        rig.now += Duration::from_secs(1);
        assert!(!rig.judge(CALM));
    }
    rig.viewing.pin(None, rig.now);
    rig.wait_for_calm();
}

#[test]
fn nobody_is_left_with_a_rendition_that_is_gone() {
    let mut rig = Rig::new(Some("hd"));
    let mut rest = listing(&["hd", "sd"]).to_vec();
    rest.remove(0);
    rig.video.list(rest.into());
    assert!(rig.judge(CALM));
    assert_eq!(rig.switch(), Some((0, Reason::Gone)));
    assert_eq!(rig.viewing.on(), Some(SD));
    // What was asked for is given again when it is back.
    rig.video.list(listing(&["hd", "sd"]));
    rig.push(HD, false);
    assert!(rig.judge(CALM) && rig.switch().is_none());
    rig.push(HD, true);
    assert_eq!(rig.switch(), Some((32, Reason::Pinned)));
}

#[test]
fn a_broadcast_of_one_rendition_has_nothing_to_choose() {
    let mut rig = Rig::new(None);
    rig.video.list(listing(&["hd"]));
    for _ in 0..20 {
        rig.now += Duration::from_secs(1);
        assert!(!rig.judge(falling()));
    }
}

#[test]
fn a_viewer_with_nothing_left_takes_the_first_that_comes() {
    let mut rig = Rig::new(None);
    rig.video.list(listing(&["hd", "sd", "new"])[2..].into());
    assert!(!rig.judge(CALM));
    assert!(rig.viewing.is_stranded() && rig.viewing.interest() == u8::MAX);
    rig.video.history_mut(2).push(unit(0, 93_000, true, 100));
    assert!(rig.judge(CALM) && !rig.viewing.is_stranded());
    assert_eq!(rig.switch(), Some((0, Reason::Gone)));
    assert_eq!((rig.viewing.on(), rig.viewing.interest()), (Some(2), 0b100));
}

#[test]
fn a_viewer_whose_only_rendition_comes_back_waits_for_nothing_else() {
    let mut rig = Rig::new(None);
    rig.video.list(listing(&["hd", "sd", "new"])[2..].into());
    assert!(!rig.judge(CALM) && rig.viewing.is_stranded());
    rig.video.list(listing(&["hd"]));
    rig.push(HD, true);
    assert!(!rig.judge(CALM));
    assert_eq!((rig.viewing.is_stranded(), rig.viewing.interest()), (false, 0b1));
}
