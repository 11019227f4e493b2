//! CMAF headers: the `ftyp` and `moov` that a player needs before the first chunk of a track.
//!
//! One track each, with `track_ID` 1 and no samples of its own (ISO/IEC 14496-12 §8.8). The decoder
//! configuration is what the encoder sent, byte for byte where the library allows it.

use bytes::Bytes;
use mp4_atom::{
    Atom, Audio, Avc1, Avcc, Codec, Dinf, Dops, Dref, Encode, Esds, FixedPoint, FourCC, Ftyp, Hdlr,
    Mdhd, Mdia, Minf, Moov, Mp4a, Mvex, Mvhd, Opus, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url,
    Visual, Vmhd, esds,
};

use super::{Error, FLAGS_SYNC, TRACK_ID};
use crate::time::Timescale;

/// The largest decoder configuration that is read, in bytes: parameter sets with a scaling matrix
/// stay below 1 kB each, and `avcC` may repeat a few.
const CONFIG_BYTES_MAX: usize = 16 * 1024;
/// Bits per decoded sample that the audio sample entry states; a template value that decoders ignore.
const AUDIO_SAMPLE_BITS: u16 = 16;

/// The header of an H.264 track in timescale 90000.
///
/// `avcc` is the AVCDecoderConfigurationRecord as RTMP carries it (ISO/IEC 14496-15 §5.3.3), `width`
/// and `height` the coded size in pixels.
pub fn avc_init(avcc: &[u8], width: u32, height: u32) -> Result<Bytes, Error> {
    let (Ok(width), Ok(height)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(Error::Config("picture is larger than 65535 pixels"));
    };
    if width == 0 || height == 0 {
        return Err(Error::Config("picture has no size"));
    }
    check_len(avcc)?;
    // `decode_body`, and not the constructor from parameter sets, keeps the chroma format and bit
    // depth that High profile appends.
    let mut avcc = Avcc::decode_body(&mut &avcc[..])?;
    if avcc.sequence_parameter_sets.is_empty() || avcc.picture_parameter_sets.is_empty() {
        return Err(Error::Config("avcC without parameter sets"));
    }
    // Samples carry lengths in four bytes, whatever the encoder's own framing was.
    avcc.length_size = 4;
    let visual = Visual { data_reference_index: 1, width, height, ..Default::default() };
    header(Track {
        timescale: Timescale::VIDEO.hz(),
        handler: *b"vide",
        name: "video",
        size: (width, height),
        codec: Avc1 { visual, avcc, ..Default::default() }.into(),
    })
}

/// The header of an AAC track, whose timescale is its sample rate.
///
/// `asc` is the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) and is kept verbatim.
pub fn aac_init(asc: &[u8], sample_rate: u32, channels: u32) -> Result<Bytes, Error> {
    check_len(asc)?;
    if asc.len() < 2 {
        return Err(Error::Config("AudioSpecificConfig of less than two bytes"));
    }
    let dec_config = esds::DecoderConfig {
        object_type_indication: 0x40, // Audio ISO/IEC 14496-3
        stream_type: 5,               // AudioStream
        dec_specific: Some(esds::DecoderSpecific { raw: asc.to_vec(), ..Default::default() }),
        ..Default::default()
    };
    let es_desc = esds::EsDescriptor { dec_config, ..Default::default() };
    let audio = audio(sample_rate, channels)?;
    header(Track {
        timescale: sample_rate,
        handler: *b"soun",
        name: "audio",
        size: (0, 0),
        codec: Mp4a { audio, esds: Esds { es_desc }, btrt: None, taic: None }.into(),
    })
}

/// The header of an Opus track in timescale 48000 (Encapsulation of Opus in ISO BMFF §4.3).
///
/// `pre_skip` is zero: the origin's timestamps already account for the encoder's lookahead.
pub fn opus_init(channels: u32) -> Result<Bytes, Error> {
    let sample_rate = Timescale::OPUS.hz();
    let audio = audio(sample_rate, channels)?;
    if !(1..=2).contains(&channels) {
        return Err(Error::Config("Opus with more than two channels needs a channel mapping"));
    }
    let dops = Dops {
        output_channel_count: if channels == 1 { 1 } else { 2 },
        pre_skip: 0,
        input_sample_rate: sample_rate,
        output_gain: 0,
        channel_mapping: None,
    };
    header(Track {
        timescale: sample_rate,
        handler: *b"soun",
        name: "audio",
        size: (0, 0),
        codec: Opus { audio, dops, btrt: None }.into(),
    })
}

struct Track {
    timescale: u32,
    handler: [u8; 4],
    name: &'static str,
    size: (u16, u16),
    codec: Codec,
}

fn header(track: Track) -> Result<Bytes, Error> {
    let video = &track.handler == b"vide";
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"cmfc")],
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: track.timescale,
            // The library's default of zero would mean "paused" and "mute".
            rate: FixedPoint::new(1, 0),
            volume: FixedPoint::new(1, 0),
            next_track_id: TRACK_ID + 1,
            ..Default::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: TRACK_ID,
                default_sample_description_index: 1,
                default_sample_flags: FLAGS_SYNC,
                ..Default::default()
            }],
        }),
        trak: vec![Trak {
            tkhd: Tkhd {
                track_id: TRACK_ID,
                enabled: true,
                in_movie: true,
                volume: FixedPoint::new(u8::from(!video), 0),
                width: track.size.0.into(),
                height: track.size.1.into(),
                ..Default::default()
            },
            mdia: Mdia {
                mdhd: Mdhd {
                    timescale: track.timescale,
                    language: "und".into(),
                    ..Default::default()
                },
                hdlr: Hdlr { handler: FourCC::new(&track.handler), name: track.name.into() },
                minf: Minf {
                    vmhd: video.then(Vmhd::default),
                    smhd: (!video).then(Smhd::default),
                    dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
                    stbl: Stbl {
                        stsd: Stsd { codecs: vec![track.codec] },
                        // Mandatory even where all samples are in fragments.
                        stco: Some(Stco::default()),
                        ..Default::default()
                    },
                    ..Default::default()
                },
            },
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut buf = Vec::with_capacity(1024);
    ftyp.encode(&mut buf)?;
    moov.encode(&mut buf)?;
    Ok(buf.into())
}

fn audio(sample_rate: u32, channels: u32) -> Result<Audio, Error> {
    if sample_rate == 0 {
        return Err(Error::Config("audio without a sample rate"));
    }
    let channel_count = match u16::try_from(channels) {
        Ok(count @ 1..=64) => count,
        _ => return Err(Error::Config("audio has 1 to 64 channels")),
    };
    Ok(Audio {
        data_reference_index: 1,
        channel_count,
        sample_size: AUDIO_SAMPLE_BITS,
        // The field holds sixteen bits; a higher rate is written as zero and the decoder
        // configuration is authoritative (ISO/IEC 14496-12 §12.2.3).
        sample_rate: FixedPoint::new(u16::try_from(sample_rate).unwrap_or(0), 0),
    })
}

fn check_len(config: &[u8]) -> Result<(), Error> {
    if config.len() > CONFIG_BYTES_MAX {
        return Err(Error::Config("decoder configuration of more than 16 KiB"));
    }
    Ok(())
}
