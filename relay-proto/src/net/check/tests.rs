use std::fs;
use std::path::PathBuf;

use super::*;

/// A certificate for `edge.example`, good for the seconds of 2030, and its key.
fn pair(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let mut params = rcgen::CertificateParams::new(vec!["edge.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2030, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 12, 31);
    let key = rcgen::KeyPair::generate().unwrap();
    let paths = (dir.join(format!("{name}.pem")), dir.join(format!("{name}-key.pem")));
    fs::write(&paths.0, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&paths.1, key.serialize_pem()).unwrap();
    paths
}

/// A day of 2030, counted from its beginning.
fn day(day: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000 + day * 86_400)
}

fn checkup(now: SystemTime, names: &[&str]) -> Checkup {
    let names = names.iter().map(ToString::to_string).collect();
    Checkup::new(Scope { machine: true, names, now })
}

fn told(checkup: Checkup) -> Vec<(Weight, String)> {
    checkup.into_faults().into_iter().map(|fault| (fault.weight, fault.to_string())).collect()
}

#[test]
fn a_certificate_is_good_in_its_time_for_its_names_and_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = pair(dir.path(), "a");
    let (_, other) = pair(dir.path(), "b");
    let check = |now, names: &[&str], key: &Path, expect: Option<(Weight, &str)>| {
        let mut checkup = checkup(now, names);
        checkup.identity(("edge.c", &certificate), ("edge.k", key), Shown::ToOthers);
        let told = told(checkup);
        match expect {
            None => assert_eq!(told, []),
            Some((weight, line)) => {
                assert!(told.len() == 1 && told[0].0 == weight, "{told:?}");
                assert!(told[0].1.contains(line), "{told:?}");
            }
        }
    };
    check(day(100), &["edge.example"], &key, None);
    let broken = |line| Some((Weight::Broken, line));
    check(day(400), &[], &key, broken("edge.c: the certificate in"));
    check(day(400), &[], &key, broken("expired at 2030-12-31T00:00:00Z: renew it"));
    check(SystemTime::UNIX_EPOCH, &[], &key, broken("good from 2030-01-01T00:00:00Z on"));
    check(day(363), &[], &key, Some((Weight::Doubtful, "expires at")));
    check(day(9), &["edge.example", "b.example"], &key, broken("is not for b.example"));
    check(day(9), &[], &other, Some((Weight::Refused, "edge.k: ")));
    check(day(9), &[], &other, Some((Weight::Refused, "is not the key of the certificate in")));
    let missing = dir.path().join("missing");
    check(day(9), &[], &missing, Some((Weight::Refused, "edge.k: ")));
    check(day(9), &[], &certificate, Some((Weight::Refused, "there is no private key in it")));
}

#[test]
fn files_of_tokens_and_authorities_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "nothing in\nit").unwrap();
    let mut checkup = checkup(day(0), &[]);
    checkup.tokens(("t", true), ("f", Some(&file)));
    checkup.authorities(("a", &file));
    let told = told(checkup);
    assert!(told.iter().all(|(weight, _)| *weight == Weight::Refused), "{told:?}");
    let lines: Vec<_> = told.into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines[0], "t: f is set as well: leave one of the two out");
    assert!(lines[1].starts_with("f: ") && lines[1].contains("1 to 256"), "{lines:?}");
    assert!(lines[2].contains("there is no certificate in it"), "{lines:?}");
}

#[test]
fn a_configuration_for_elsewhere_is_not_held_against_this_machine() {
    let mut checkup = Checkup::new(Scope { machine: false, ..Scope::here() });
    let nowhere = Path::new("/nowhere/at/all");
    checkup.tokens(("t", false), ("f", Some(nowhere)));
    checkup.identity(("c", nowhere), ("k", nowhere), Shown::ToOthers);
    checkup.authorities(("a", nowhere));
    checkup.directory("d", Path::new("/proc/nothing"), "set another");
    assert_eq!(told(checkup), []);
}

#[test]
fn a_directory_can_be_written_to_or_is_refused_and_nothing_is_left_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut good = checkup(day(0), &[]);
    good.directory("data_dir", &dir.path().join("made/later"), "set another");
    assert_eq!(told(good), []);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::write(dir.path().join("file"), "").unwrap();
    for path in [dir.path().join("file/below"), "/proc/nothing".into()] {
        let mut bad = checkup(day(0), &[]);
        bad.directory("data_dir", &path, "set another");
        let told = told(bad);
        assert!(told[0].1.contains("cannot be written to"), "{told:?}");
    }
}

#[test]
fn what_the_internet_does_not_know_is_told() {
    for (ip, public) in [
        ("203.0.113.7", true),
        ("8.8.8.8", true),
        ("2001:db8::1", true),
        ("10.0.0.1", false),
        ("100.64.0.1", false),
        ("100.128.0.1", true),
        ("192.168.1.1", false),
        ("169.254.1.1", false),
        ("127.0.0.1", false),
        ("0.0.0.0", false),
        ("::1", false),
        ("fd00::1", false),
        ("fe80::1", false),
        ("::ffff:10.0.0.1", false),
    ] {
        assert_eq!(not_public(ip.parse().unwrap()).is_none(), public, "{ip}");
    }
}
