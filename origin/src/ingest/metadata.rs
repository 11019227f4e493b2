//! What `onMetaData` says of a publication (Video File Format 10, §E.5). All of it is hearsay: it
//! serves the console and first guesses, never decoding.

use rml_amf0::Amf0Value;

use super::rtmp::amf;

/// Longest encoder name that is kept, in bytes.
const ENCODER_BYTES_MAX: usize = 128;
/// Values above this are not believed, whatever their unit.
const NUMBER_MAX: f64 = 1e7;

/// What an encoder says of itself. Absent where it does not say, or says nonsense.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Pixels.
    pub width: Option<f64>,
    /// Pixels.
    pub height: Option<f64>,
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Kilobits per second.
    pub videodatarate: Option<f64>,
    /// Kilobits per second.
    pub audiodatarate: Option<f64>,
    /// Name and version of the program, without control characters.
    pub encoder: Option<String>,
    /// Whether video is announced; a hint on how long to wait for it.
    pub has_video: Option<bool>,
    /// Whether audio is announced.
    pub has_audio: Option<bool>,
}

impl Metadata {
    /// Finds the metadata in the values of a data message; `None` if it is about something else.
    pub fn from_values(values: &[Amf0Value]) -> Option<Self> {
        let is = |value: &Amf0Value, name: &str| matches!(value, Amf0Value::Utf8String(text) if text == name);
        let values = match values {
            [first, rest @ ..] if is(first, "@setDataFrame") => rest,
            all => all,
        };
        match values {
            [name, Amf0Value::Object(properties), ..] if is(name, "onMetaData") => {
                Some(Self::from_properties(properties))
            }
            _ => None,
        }
    }

    fn from_properties(properties: &amf::Object) -> Self {
        let number = |name: &str| match properties.get(name) {
            Some(Amf0Value::Number(value)) if *value > 0.0 && *value <= NUMBER_MAX => Some(*value),
            _ => None,
        };
        let announced = |flag: &str, codec: &str| match properties.get(flag) {
            Some(Amf0Value::Boolean(flag)) => Some(*flag),
            _ => properties.contains_key(codec).then_some(true),
        };
        Self {
            width: number("width"),
            height: number("height"),
            framerate: number("framerate").or_else(|| number("fps")),
            videodatarate: number("videodatarate"),
            audiodatarate: number("audiodatarate"),
            encoder: properties.get("encoder").and_then(encoder),
            has_video: announced("hasVideo", "videocodecid"),
            has_audio: announced("hasAudio", "audiocodecid"),
        }
    }
}

fn encoder(value: &Amf0Value) -> Option<String> {
    let Amf0Value::Utf8String(text) = value else { return None };
    let mut name: String = text.chars().filter(|c| !c.is_control()).collect();
    name.truncate(name.floor_char_boundary(ENCODER_BYTES_MAX));
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Amf0Value {
        Amf0Value::Utf8String(text.into())
    }

    fn on_meta_data(properties: &[(&str, Amf0Value)]) -> Option<Metadata> {
        let object = properties.iter().map(|(name, value)| ((*name).into(), value.clone()));
        let object = Amf0Value::Object(object.collect());
        let plain = Metadata::from_values(&[text("onMetaData"), object.clone()]);
        let framed = Metadata::from_values(&[text("@setDataFrame"), text("onMetaData"), object]);
        assert_eq!(plain, framed);
        plain
    }

    #[test]
    fn what_the_encoder_says_is_kept() {
        let metadata = on_meta_data(&[
            ("width", Amf0Value::Number(1920.0)),
            ("framerate", Amf0Value::Number(29.97)),
            ("videocodecid", Amf0Value::Number(7.0)),
            ("hasAudio", Amf0Value::Boolean(false)),
            ("encoder", text("Lavf61.7.100\n")),
        ])
        .unwrap();
        assert_eq!(metadata.width, Some(1920.0));
        assert_eq!(metadata.framerate, Some(29.97));
        assert_eq!(metadata.has_video, Some(true));
        assert_eq!(metadata.has_audio, Some(false));
        assert_eq!(metadata.encoder.as_deref(), Some("Lavf61.7.100"));
    }

    #[test]
    fn nonsense_is_left_out_and_long_names_are_cut() {
        let metadata = on_meta_data(&[
            ("width", Amf0Value::Number(f64::NAN)),
            ("height", Amf0Value::Number(-1.0)),
            ("framerate", Amf0Value::Number(f64::INFINITY)),
            ("videodatarate", text("fast")),
            ("encoder", text(&"ü".repeat(100))),
        ])
        .unwrap();
        assert_eq!(metadata.encoder.as_deref(), Some(&*"ü".repeat(64)));
        assert_eq!(Metadata { encoder: None, ..metadata }, Metadata::default());
    }

    #[test]
    fn other_data_is_not_metadata() {
        assert_eq!(Metadata::from_values(&[]), None);
        assert_eq!(Metadata::from_values(&[text("@setDataFrame")]), None);
        assert_eq!(Metadata::from_values(&[text("onMetaData")]), None);
        assert_eq!(Metadata::from_values(&[text("onTextData"), Amf0Value::Null]), None);
    }
}
