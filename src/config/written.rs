//! The configuration as it is written, in a file and in the environment, and all that is wrong with it: each
//! fault with its key and with where that was set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use figment::error::Kind;
use figment::providers::{Env, Format as _, Toml};
use figment::value::{Dict, Map, UncasedStr, Value};
use figment::{Figment, Metadata, Profile, Provider};
use lectern_relay_proto::net::check::{Fault, Weight};

use super::Config;

/// The most faults that are told at once.
const FAULTS_MAX: usize = 50;
/// How alike two names are, from 0 to 1, of which one may be meant for the other.
const ALIKE: f64 = 0.85;
/// What the names of settings in the environment begin with.
const PREFIX: &str = "LECTERN_";

/// Reads `file`, if there is one, and then the environment.
pub(super) fn read(file: Option<&Path>) -> Result<(Config, Settings), Vec<Fault>> {
    let (mut faults, mut passed_over) = (Vec::new(), Vec::new());
    // One fault ends the reading: what it lies in is left out, and the rest is read again.
    loop {
        let figment = figment(file, &passed_over);
        let errors = match figment.extract::<Config>() {
            Ok(config) if faults.is_empty() => return Ok((config, Settings::of(&figment))),
            Ok(_) => return Err(faults),
            Err(errors) => errors,
        };
        for error in errors {
            let known = faults.len();
            faults.push(fault(&error));
            let path = lies_in(&error);
            if path.is_empty() || passed_over.contains(&path) || known >= FAULTS_MAX {
                return Err(faults);
            }
            passed_over.push(path);
        }
    }
}

/// What is left out so that what `error` found is not found again.
fn lies_in(error: &figment::Error) -> Vec<String> {
    let mut path = error.path.clone();
    let is_element = |part: &String| part.parse::<usize>().is_ok();
    // A part of a list cannot be left out, or others would change their places; and what is missing is
    // missing from something.
    if path.last().is_some_and(is_element) || matches!(error.kind, Kind::MissingField(_)) {
        path.truncate(path.iter().position(is_element).unwrap_or(path.len()));
    }
    path
}

/// What is written: each setting by its key. It has no `Debug`: there are secrets in it.
#[derive(PartialEq)]
pub(crate) struct Settings(BTreeMap<String, Value>);

impl Settings {
    fn of(figment: &Figment) -> Self {
        let mut all = BTreeMap::new();
        // It was read a moment ago.
        for dict in figment.data().unwrap_or_default().into_values() {
            flatten("", Value::from(dict), &mut all);
        }
        Self(all)
    }

    /// Those that are written otherwise than in `other`, or in one of the two alone.
    pub(crate) fn differing(&self, other: &Self) -> BTreeSet<String> {
        let keys = self.0.keys().chain(other.0.keys());
        keys.filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }
}

fn flatten(prefix: &str, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
                flatten(&key, value, into);
            }
        }
        value => drop(into.insert(prefix.to_owned(), value)),
    }
}

fn figment(file: Option<&Path>, passed_over: &[Vec<String>]) -> Figment {
    // Others of the prefix are not ours: Kubernetes sets LECTERN_PORT for a Service `lectern`.
    let ours = |key: &UncasedStr| {
        let key = key.as_str().to_ascii_lowercase();
        let own = ["data_dir", "log_format"].contains(&key.as_str());
        own || key.starts_with("telemetry__")
            || key.starts_with("origin__")
            || key.starts_with("edge__")
    };
    let environment = Env::prefixed(PREFIX).filter(ours).split("__");
    let mut figment = Figment::new();
    if let Some(file) = file {
        figment = figment.merge(Without { provider: Toml::file_exact(file), passed_over });
    }
    figment.merge(Without { provider: environment, passed_over })
}

/// A provider, without what has been found wrong.
struct Without<'a, P> {
    provider: P,
    passed_over: &'a [Vec<String>],
}

impl<P: Provider> Provider for Without<'_, P> {
    fn metadata(&self) -> Metadata {
        self.provider.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut data = self.provider.data()?;
        for dict in data.values_mut() {
            self.passed_over.iter().for_each(|path| leave_out(dict, path));
        }
        Ok(data)
    }
}

fn leave_out(dict: &mut Dict, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        dict.remove(key);
    } else if let Some(value) = dict.get_mut(key) {
        leave_out_of(value, rest);
    }
}

fn leave_out_of(value: &mut Value, path: &[String]) {
    match value {
        Value::Dict(_, dict) => leave_out(dict, path),
        Value::Array(_, array) => {
            let Some((index, rest)) = path.split_first() else { return };
            let element = index.parse().ok().and_then(|index: usize| array.get_mut(index));
            if let Some(element) = element.filter(|_| !rest.is_empty()) {
                leave_out_of(element, rest);
            }
        }
        _ => {}
    }
}

/// What is wrong with which key, and where that was set.
fn fault(error: &figment::Error) -> Fault {
    let wrong = match &error.kind {
        Kind::UnknownField(name, known) => unknown(name, known),
        Kind::MissingField(name) => format!("{name} is missing: it has to be set"),
        Kind::Message(text) => text_alone(text),
        kind => text_alone(&kind.to_string()),
    };
    let set_in = error.metadata.as_ref().map(|metadata| match &metadata.source {
        Some(source) => source.to_string(),
        None => {
            // A list is one variable.
            let of_variable = error.path.iter().take_while(|part| part.parse::<usize>().is_err());
            let path: Vec<_> = of_variable.map(String::as_str).collect();
            format!("{PREFIX}{}", path.join("__").to_uppercase())
        }
    });
    let key = match error.path.as_slice() {
        [] => "--config".to_owned(),
        path => path.join("."),
    };
    let wrong = set_in.map_or(wrong.clone(), |set_in| format!("{wrong} (in {set_in})"));
    Fault { weight: Weight::Refused, key, wrong }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let alike = |other: &&&str| strsim::jaro_winkler(name, other);
    let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match nearest.filter(|nearest| alike(nearest) >= ALIKE) {
        Some(nearest) => format!("no such setting; did you mean {nearest}?"),
        None => format!("no such setting; there are {}", known.join(", ")),
    }
}

/// A reader's message in one line, without the part of the file that it repeats: it may hold a secret.
fn text_alone(text: &str) -> String {
    let repeated = |line: &&str| {
        line.split_once('|')
            .is_some_and(|(number, _)| number.chars().all(|c| c.is_ascii_digit() || c == ' '))
    };
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.into_iter().filter(|line| !repeated(line)).collect::<Vec<_>>().join(", ")
}
