//! A group that is traced is told of once, however many are sent it.

use std::sync::{Mutex, PoisonError};

use lectern_relay_proto::trace::{self, Ratio, Span, Tracer, Value};

use crate::host::{Host, engine};
use crate::viewer::Viewer;

static TOLD: Mutex<Vec<Span>> = Mutex::new(Vec::new());

fn told() -> Vec<Span> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let of = ("lectern.broadcast", Value::Text("traced".to_owned()));
    told.iter().filter(|span| span.attributes.contains(&of)).cloned().collect()
}

#[test]
fn the_first_viewer_who_is_sent_a_group_is_told_of_and_no_other() {
    // Of all tests in this process; others have other broadcasts.
    let sink = |span| TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(span);
    assert!(trace::install(Tracer::new(Ratio::new(1.0).unwrap(), 7, sink)));
    let engine = engine();
    let mut host = Host::new(&engine, "traced");
    host.gop = 10;
    host.push(5);
    let mut viewers = [0, 1].map(|_| {
        let mut viewer = Viewer::open(&engine, "traced").unwrap();
        viewer.connect();
        viewer.until("the start", |viewer| viewer.video().len() == 5);
        viewer
    });
    // Never so much at once that a viewer would skip to a newer group.
    for count in [5, 5, 5, 1] {
        host.push(count);
        for viewer in &mut viewers {
            viewer.until("what was pushed", |viewer| viewer.video().len() as u64 == host.number);
        }
    }
    let told = told();
    let groups: Vec<_> = told.iter().map(|span| span.attributes[3].clone()).collect();
    let expect = [0, 1, 2].map(|group: u32| ("lectern.group", Value::from(group)));
    assert_eq!(groups, expect, "{told:?}");
    for span in &told {
        assert_eq!(span.name, "serve webrtc");
        assert!(span.end >= span.start && span.parent.is_some());
    }
    assert_ne!(told[0].trace, told[1].trace);
}
