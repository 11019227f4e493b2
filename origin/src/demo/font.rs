//! A small stroke font: the digits and the letters that the pattern writes, drawn with a round pen.
//!
//! Glyphs stand in a box one unit high, from the top of a capital to the baseline, and are lines
//! and arcs of ellipses; sizes and weights are the caller's.

use super::canvas::{Mask, to_line};

/// Pen width in units of the glyph height.
const PEN: f32 = 0.105;
/// Room around a glyph for the pen, and for letters that reach below the baseline.
const MARGIN: f32 = 0.1;
const DESCENT: f32 = 0.3;

/// From one point to another.
type Line = ((f32, f32), (f32, f32));

enum Stroke {
    /// A run of straight lines; one point alone is a dot.
    Lines(&'static [(f32, f32)]),
    /// Centre, radii, and angles in degrees, clockwise from the right.
    Arc { centre: (f32, f32), radii: (f32, f32), from: f32, to: f32 },
}

use Stroke::Lines;

const fn arc(centre: (f32, f32), radii: (f32, f32), from: f32, to: f32) -> Stroke {
    Stroke::Arc { centre, radii, from, to }
}

/// A character at a size, and how far it moves the pen on.
pub(super) struct Glyph {
    pub(super) mask: Mask,
    pub(super) advance: f32,
}

impl Glyph {
    /// Renders `c` so that a capital is `height` pixels high. The mask's corner is
    /// [`Self::margin`] left of and above the glyph's box. What the font lacks is a space.
    pub(super) fn render(c: char, height: f32) -> Self {
        let (width, strokes) = shape(c);
        let mut lines: Vec<Line> = Vec::new();
        for stroke in &strokes {
            flatten(stroke, &mut lines);
        }
        let margin = Self::margin(height) as f32;
        let place = |(x, y): (f32, f32)| (x * height + margin, y * height + margin);
        for (a, b) in &mut lines {
            (*a, *b) = (place(*a), place(*b));
        }
        let radius = PEN * height / 2.0;
        let mask = Mask::render(
            width * height + 2.0 * margin,
            (1.0 + DESCENT) * height + 2.0 * margin,
            |x, y| {
                let nearest = |best: f32, line: &Line| best.min(to_line((x, y), line.0, line.1));
                lines.iter().fold(f32::INFINITY, nearest) - radius
            },
        );
        Self { mask, advance: (width + 0.2) * height }
    }

    /// Pixels that the mask of a glyph of this height reaches beyond its box.
    pub(super) fn margin(height: f32) -> usize {
        (MARGIN * height).ceil() as usize
    }
}

/// Turns a stroke into straight lines.
fn flatten(stroke: &Stroke, lines: &mut Vec<Line>) {
    match stroke {
        Lines([dot]) => lines.push((*dot, *dot)),
        Lines(points) => lines.extend(points.windows(2).map(|pair| (pair[0], pair[1]))),
        Stroke::Arc { centre, radii, from, to } => {
            let steps = ((to - from).abs() / 12.0).ceil();
            let point = |step: f32| {
                let angle = (from + (to - from) * step / steps).to_radians();
                (centre.0 + radii.0 * angle.cos(), centre.1 + radii.1 * angle.sin())
            };
            lines.extend((0..steps as u32).map(|n| (point(n as f32), point(n as f32 + 1.0))));
        }
    }
}

/// Width and strokes of a character. All digits are equally wide, so that a clock stands still.
fn shape(c: char) -> (f32, Vec<Stroke>) {
    // The bowl of small round letters.
    const BOWL: (f32, f32) = (0.29, 0.69);
    const ROUND: (f32, f32) = (0.25, 0.31);
    match c {
        '0' => (0.6, vec![arc((0.3, 0.5), (0.27, 0.5), 0.0, 360.0)]),
        '1' => (0.6, vec![Lines(&[(0.13, 0.2), (0.36, 0.0), (0.36, 1.0)])]),
        '2' => (
            0.6,
            vec![
                arc((0.3, 0.28), (0.27, 0.28), 190.0, 395.0),
                Lines(&[(0.521, 0.44), (0.04, 1.0), (0.57, 1.0)]),
            ],
        ),
        '3' => (
            0.6,
            vec![
                arc((0.29, 0.24), (0.24, 0.24), 200.0, 450.0),
                arc((0.29, 0.74), (0.28, 0.26), 270.0, 520.0),
            ],
        ),
        '4' => (0.6, vec![Lines(&[(0.44, 1.0), (0.44, 0.0), (0.02, 0.7), (0.58, 0.7)])]),
        '5' => (
            0.6,
            vec![
                Lines(&[(0.53, 0.0), (0.1, 0.0), (0.07, 0.45)]),
                arc((0.29, 0.69), (0.28, 0.31), 225.0, 510.0),
            ],
        ),
        '6' => (
            0.6,
            vec![
                arc((0.3, 0.69), (0.27, 0.31), 0.0, 360.0),
                arc((0.53, 0.69), (0.5, 0.69), 180.0, 262.0),
            ],
        ),
        '7' => (0.6, vec![Lines(&[(0.03, 0.0), (0.57, 0.0), (0.2, 1.0)])]),
        '8' => (
            0.6,
            vec![
                arc((0.3, 0.24), (0.23, 0.24), 0.0, 360.0),
                arc((0.3, 0.74), (0.28, 0.26), 0.0, 360.0),
            ],
        ),
        '9' => (
            0.6,
            vec![
                arc((0.3, 0.31), (0.27, 0.31), 0.0, 360.0),
                arc((0.07, 0.31), (0.5, 0.69), 0.0, 82.0),
            ],
        ),
        ':' => (0.12, vec![Lines(&[(0.06, 0.32)]), Lines(&[(0.06, 0.82)])]),
        '.' => (0.12, vec![Lines(&[(0.06, 1.0)])]),
        'C' => (0.58, vec![arc((0.34, 0.5), (0.3, 0.5), 310.0, 50.0)]),
        'L' => (0.5, vec![Lines(&[(0.06, 0.0), (0.06, 1.0), (0.5, 1.0)])]),
        'T' => (0.56, vec![Lines(&[(0.0, 0.0), (0.56, 0.0)]), Lines(&[(0.28, 0.0), (0.28, 1.0)])]),
        'U' => (
            0.6,
            vec![
                Lines(&[(0.06, 0.0), (0.06, 0.68)]),
                arc((0.3, 0.68), (0.24, 0.32), 180.0, 0.0),
                Lines(&[(0.54, 0.68), (0.54, 0.0)]),
            ],
        ),
        'a' => (0.56, vec![arc(BOWL, ROUND, 0.0, 360.0), Lines(&[(0.54, 0.38), (0.54, 1.0)])]),
        'c' => (0.5, vec![arc(BOWL, ROUND, 315.0, 45.0)]),
        'e' => (0.54, vec![Lines(&[(0.04, 0.69), (0.54, 0.69)]), arc(BOWL, ROUND, 360.0, 50.0)]),
        'f' => (
            0.38,
            vec![
                Lines(&[(0.16, 1.0), (0.16, 0.22)]),
                arc((0.34, 0.22), (0.18, 0.22), 180.0, 285.0),
                Lines(&[(0.0, 0.38), (0.36, 0.38)]),
            ],
        ),
        'i' => (0.12, vec![Lines(&[(0.06, 0.38), (0.06, 1.0)]), Lines(&[(0.06, 0.14)])]),
        'l' => (0.12, vec![Lines(&[(0.06, 0.0), (0.06, 1.0)])]),
        'm' => (
            0.78,
            vec![
                Lines(&[(0.06, 0.38), (0.06, 1.0)]),
                arc((0.23, 0.58), (0.17, 0.2), 180.0, 360.0),
                Lines(&[(0.4, 0.58), (0.4, 1.0)]),
                arc((0.57, 0.58), (0.17, 0.2), 180.0, 360.0),
                Lines(&[(0.74, 0.58), (0.74, 1.0)]),
            ],
        ),
        'n' => (
            0.54,
            vec![
                Lines(&[(0.06, 0.38), (0.06, 1.0)]),
                arc((0.28, 0.62), (0.22, 0.24), 180.0, 360.0),
                Lines(&[(0.5, 0.62), (0.5, 1.0)]),
            ],
        ),
        'p' => {
            (0.58, vec![Lines(&[(0.06, 0.38), (0.06, 1.28)]), arc((0.31, 0.69), ROUND, 0.0, 360.0)])
        }
        'r' => (
            0.4,
            vec![Lines(&[(0.06, 0.38), (0.06, 1.0)]), arc((0.3, 0.66), (0.24, 0.28), 180.0, 300.0)],
        ),
        's' => (
            0.46,
            vec![
                arc((0.24, 0.53), (0.19, 0.15), 325.0, 90.0),
                arc((0.24, 0.84), (0.2, 0.16), 270.0, 505.0),
            ],
        ),
        't' => (
            0.4,
            vec![
                Lines(&[(0.16, 0.14), (0.16, 0.82)]),
                arc((0.33, 0.82), (0.17, 0.18), 180.0, 70.0),
                Lines(&[(0.0, 0.38), (0.36, 0.38)]),
            ],
        ),
        'v' => (0.5, vec![Lines(&[(0.02, 0.38), (0.25, 1.0), (0.48, 0.38)])]),
        _ => (0.25, Vec::new()),
    }
}
