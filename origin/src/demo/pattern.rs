//! The picture: what a person recognises as live, and what a program can measure by.
//!
//! Everything that stands still is painted once. A frame is a copy of that, the digits of two
//! clocks stamped from masks, one moving dot, the flash, and the clock strip.

use lectern_relay_proto::UtcTime;

use super::canvas::{Canvas, Colour, Mask, to_line};
use super::font::Glyph;
pub use super::strip::read_clock;
use super::strip::{self, COLUMNS, ROWS};

/// The smallest picture in which a cell of the clock strip still has 4×4 pixels.
pub const WIDTH_MIN: u32 = 256;
/// See [`WIDTH_MIN`].
pub const HEIGHT_MIN: u32 = 144;
/// The largest picture: 4K. A frame of it takes 12 MB, of which a pattern holds three.
pub const WIDTH_MAX: u32 = 3840;
/// See [`WIDTH_MAX`].
pub const HEIGHT_MAX: u32 = 2160;

const TEXT: Colour = Colour::grey(222);
const MUTED: Colour = Colour { y: 126, u: 138, v: 122 };
const ACCENT: Colour = Colour { y: 158, u: 132, v: 84 };
const TRACK: Colour = Colour { y: 62, u: 140, v: 120 };
const DISC_DARK: Colour = Colour { y: 24, u: 136, v: 124 };

/// Left edge of everything written.
const MARGIN: f32 = 4.0;
/// Centre of flash, dial and dot.
const CENTRE: (f32, f32) = (49.0, 15.0);
const FLASH_RADIUS: f32 = 4.0;
const ORBIT_RADIUS: f32 = 5.9;
const DIAL_RADII: (f32, f32) = (7.6, 8.4);
/// Inside the disc: see `docs/pattern-clock.md`.
const FLASH_SQUARE: [f32; 4] = [47.0, 13.0, 51.0, 17.0];

const BRAND: (f32, f32) = (4.2, 3.4);
const CLOCK: (f32, f32) = (14.4, 4.0);
const CAPTION: (f32, f32) = (20.4, 1.2);

/// Draws the frames of the pattern.
pub struct Pattern {
    fps: u64,
    /// Pixels per cell of the lattice.
    cell: (f32, f32),
    /// What never changes.
    still: Canvas,
    /// What changes once a second: `still`, and the seconds of this minute on the dial.
    base: Canvas,
    /// The second that `base` shows.
    second: Option<u64>,
    frame: Canvas,
    clock: Digits,
    counter: Digits,
    /// The flash, and the even pixel at which its mask stands.
    disc: Mask,
    disc_at: (usize, usize),
}

/// Pictures of this size cannot be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern is drawn in even sizes from {WIDTH_MIN}x{HEIGHT_MIN} to {WIDTH_MAX}x{HEIGHT_MAX} \
     and at 1 to 120 frames a second"
)]
pub struct InvalidSize;

impl Pattern {
    /// A pattern of `width`×`height` pixels at `fps` frames a second.
    pub fn new(width: u32, height: u32, fps: u32) -> Result<Self, InvalidSize> {
        let fits = (WIDTH_MIN..=WIDTH_MAX).contains(&width)
            && (HEIGHT_MIN..=HEIGHT_MAX).contains(&height)
            && width.is_multiple_of(2)
            && height.is_multiple_of(2)
            && (1..=120).contains(&fps);
        if !fits {
            return Err(InvalidSize);
        }
        let frame = Canvas::new(width as usize, height as usize);
        let cell = (width as f32 / COLUMNS as f32, height as f32 / ROWS as f32);
        let radius = FLASH_RADIUS * cell.1;
        let (x, y) = (CENTRE.0 * cell.0, CENTRE.1 * cell.1);
        let disc_at = ((x - radius) as usize & !1, (y - radius) as usize & !1);
        let (x, y) = (x - disc_at.0 as f32, y - disc_at.1 as f32);
        let mut pattern = Self {
            fps: u64::from(fps),
            cell,
            still: frame.clone(),
            base: frame.clone(),
            second: None,
            frame,
            clock: Digits::new(CLOCK.1 * cell.1),
            counter: Digits::new(CAPTION.1 * cell.1),
            disc: Mask::render(x + radius + 1.0, y + radius + 1.0, |px, py| {
                (px - x).hypot(py - y) - radius
            }),
            disc_at,
        };
        pattern.paint_still();
        Ok(pattern)
    }

    /// Draws frame `n` with the wall clock at `now`: yuv420p, BT.709, limited range, planes one
    /// behind the other without padding.
    pub fn draw(&mut self, n: u64, now: UtcTime) -> &[u8] {
        self.paint_second(now.as_millis() / 1000);
        self.frame.planes.copy_from_slice(&self.base.planes);
        self.draw_dot(n);
        if is_flash(n, self.fps) {
            self.frame.stamp(&self.disc, self.disc_at.0, self.disc_at.1, Colour::WHITE);
        }
        let of_day = now.as_millis() % 86_400_000;
        let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
        let (seconds, ms) = (of_day / 1000 % 60, of_day % 1000);
        let time = format!("{hours:02}:{minutes:02}:{seconds:02}.{ms:03}");
        let at = self.at((MARGIN, CLOCK.0));
        self.clock.write(&mut self.frame, at, &time, TEXT);
        let at = self.at((MARGIN + 9.4, CAPTION.0));
        self.counter.write(&mut self.frame, at, &format!("{n:06}"), MUTED);
        strip::write(&mut self.frame, now.as_millis());
        &self.frame.planes
    }

    /// Pixels of a point on the lattice.
    fn at(&self, (column, row): (f32, f32)) -> (f32, f32) {
        (column * self.cell.0, row * self.cell.1)
    }

    /// Lights the dial up to `second`, the Unix time.
    fn paint_second(&mut self, second: u64) {
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        self.base.planes.copy_from_slice(&self.still.planes);
        for tick in 0..=second % 60 {
            paint_tick(&mut self.base, self.cell, tick, ACCENT);
        }
    }

    /// The dot goes round once a second, and stands at the top when the flash begins.
    fn draw_dot(&mut self, n: u64) {
        let turn = (n % self.fps) as f32 / self.fps as f32 * std::f32::consts::TAU;
        let centre = self.at(CENTRE);
        let orbit = ORBIT_RADIUS * self.cell.1;
        let (x, y) = (centre.0 + orbit * turn.sin(), centre.1 - orbit * turn.cos());
        let radius = 0.55 * self.cell.1;
        let reach = radius + 1.0;
        let region = self.frame.region(x - reach, y - reach, x + reach, y + reach);
        self.frame.paint(region, TEXT, |px, py| (px - x).hypot(py - y) - radius);
    }

    fn paint_still(&mut self) {
        let centre = self.at(CENTRE);
        paint_background(&mut self.still, centre);
        for tick in 0..60 {
            paint_tick(&mut self.still, self.cell, tick, TRACK);
        }
        let reach = (DIAL_RADII.1 + 1.0) * self.cell.1;
        let region = self.still.region(
            centre.0 - reach,
            centre.1 - reach,
            centre.0 + reach,
            centre.1 + reach,
        );
        let ring = |radius: f32, pen: f32| {
            move |x: f32, y: f32| ((x - centre.0).hypot(y - centre.1) - radius).abs() - pen
        };
        let cell = self.cell.1;
        self.still.paint(region, TRACK, ring(ORBIT_RADIUS * cell, 0.04 * cell));
        let disc = FLASH_RADIUS * cell;
        self.still.paint(region, DISC_DARK, |x, y| (x - centre.0).hypot(y - centre.1) - disc);
        self.still.paint(region, TRACK, ring(disc, 0.06 * cell));

        let text = |canvas: &mut Canvas, (row, height): (f32, f32), column: f32, text, colour| {
            let at = (column * self.cell.0, row * self.cell.1);
            write_text(canvas, at, height * self.cell.1, text, colour);
        };
        text(&mut self.still, BRAND, MARGIN, "Lectern", TEXT);
        text(&mut self.still, (9.6, 1.2), MARGIN, "live test pattern", MUTED);
        text(&mut self.still, CAPTION, MARGIN, "UTC", MUTED);
        text(&mut self.still, CAPTION, MARGIN + 4.4, "frame", MUTED);
        let (x, y) = (MARGIN * self.cell.0, 12.0 * self.cell.1);
        let bar = self.still.region(x, y, x + 3.0 * self.cell.0, y + 0.16 * self.cell.1);
        self.still.fill(bar, ACCENT);
    }
}

/// Whether the flash of frame `n` is lit: 100 ms from the start of every second.
pub fn is_flash(n: u64, fps: u64) -> bool {
    n % fps < fps.div_ceil(10)
}

/// Whether the flash is lit in a picture, from its luma plane without padding. `None` if the
/// plane is smaller than its size says.
pub fn read_flash(luma: &[u8], width: usize, height: usize) -> Option<bool> {
    let fits = width >= COLUMNS && height >= ROWS && luma.len() >= width.checked_mul(height)?;
    fits.then(|| strip::mean(luma, width, height, FLASH_SQUARE) > 128.0)
}

/// A dark room with a light on the dial. Ordered dither keeps the slopes free of bands.
fn paint_background(canvas: &mut Canvas, light: (f32, f32)) {
    const DITHER: [f32; 4] = [0.125, 0.625, 0.875, 0.375];
    let (width, height) = (canvas.width, canvas.height);
    for y in 0..height {
        let slope = 40.0 - 14.0 * y as f32 / height as f32;
        for x in 0..width {
            let away = (x as f32 - light.0).hypot(y as f32 - light.1) / height as f32;
            let glow = 16.0 * (-away * away * 3.0).exp();
            let dither = DITHER[(y & 1) * 2 + (x & 1)];
            canvas.planes[y * width + x] = (slope + glow + dither) as u8;
        }
    }
    let quarter = width * height / 4;
    canvas.planes[4 * quarter..5 * quarter].fill(139);
    canvas.planes[5 * quarter..].fill(121);
}

/// One of the dial's sixty ticks; every fifth is broader.
fn paint_tick(canvas: &mut Canvas, cell: (f32, f32), tick: u64, colour: Colour) {
    let turn = tick as f32 / 60.0 * std::f32::consts::TAU;
    let centre = (CENTRE.0 * cell.0, CENTRE.1 * cell.1);
    let point = |radius: f32| {
        let radius = radius * cell.1;
        (centre.0 + radius * turn.sin(), centre.1 - radius * turn.cos())
    };
    let (a, b) = (point(DIAL_RADII.0), point(DIAL_RADII.1));
    let pen = if tick.is_multiple_of(5) { 0.17 } else { 0.1 } * cell.1;
    let reach = pen + 1.0;
    let region = canvas.region(
        a.0.min(b.0) - reach,
        a.1.min(b.1) - reach,
        a.0.max(b.0) + reach,
        a.1.max(b.1) + reach,
    );
    canvas.paint(region, colour, |x, y| to_line((x, y), a, b) - pen);
}

/// Writes text with the top left corner of its first capital at `at`.
fn write_text(canvas: &mut Canvas, at: (f32, f32), height: f32, text: &str, colour: Colour) {
    let mut x = at.0;
    for c in text.chars() {
        let glyph = Glyph::render(c, height);
        stamp(canvas, &glyph, (x, at.1), height, colour);
        x += glyph.advance;
    }
}

fn stamp(canvas: &mut Canvas, glyph: &Glyph, at: (f32, f32), height: f32, colour: Colour) {
    let margin = Glyph::margin(height);
    let (x, y) = (at.0.round() as usize, at.1.round() as usize);
    canvas.stamp(&glyph.mask, x.saturating_sub(margin), y.saturating_sub(margin), colour);
}

/// The glyphs of a clock, rendered once.
struct Digits {
    height: f32,
    digits: [Glyph; 10],
    colon: Glyph,
    point: Glyph,
}

impl Digits {
    fn new(height: f32) -> Self {
        let glyph = |c| Glyph::render(c, height);
        Self {
            height,
            digits: std::array::from_fn(|n| glyph(char::from(b'0' + n as u8))),
            colon: glyph(':'),
            point: glyph('.'),
        }
    }

    fn write(&self, canvas: &mut Canvas, at: (f32, f32), text: &str, colour: Colour) {
        let mut x = at.0;
        for c in text.chars() {
            let glyph = match c {
                ':' => &self.colon,
                '.' => &self.point,
                c => &self.digits[c.to_digit(10).unwrap_or(0) as usize],
            };
            stamp(canvas, glyph, (x, at.1), self.height, colour);
            x += glyph.advance;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_tells_its_time_and_flashes_at_the_second() {
        for (width, height, fps) in [(1280, 720, 30), (640, 360, 25), (256, 144, 60)] {
            let mut pattern = Pattern::new(width, height, fps).expect("valid");
            let (w, h) = (width as usize, height as usize);
            for n in 0..u64::from(fps) * 2 {
                let ms = 1_795_123_456_000 + n * 1000 / u64::from(fps);
                let picture = pattern.draw(n, UtcTime::from_millis(ms));
                assert_eq!(picture.len(), w * h * 3 / 2);
                assert_eq!(read_clock(&picture[..w * h], w, h), Some(ms));
                let lit = n % u64::from(fps) * 10 < u64::from(fps);
                assert_eq!(read_flash(&picture[..w * h], w, h), Some(lit), "frame {n}");
            }
        }
    }

    #[test]
    fn a_picture_moves_between_any_two_frames() {
        let mut pattern = Pattern::new(1280, 720, 30).expect("valid");
        let now = UtcTime::from_millis(1_795_123_456_789);
        let mut last = pattern.draw(0, now).to_vec();
        for n in 1..60 {
            let next = pattern.draw(n, now).to_vec();
            assert_ne!(next, last, "frame {n}");
            last = next;
        }
    }

    #[test]
    fn sizes_that_cannot_be_drawn_are_refused() {
        for (width, height, fps) in [
            (0, 0, 30),
            (1281, 720, 30),
            (1280, 721, 30),
            (128, 72, 30),
            (8000, 720, 30),
            (1280, 720, 0),
        ] {
            assert!(Pattern::new(width, height, fps).is_err(), "{width}x{height}@{fps}");
        }
        assert_eq!(read_flash(&[0; 100], 1280, 720), None);
    }
}
