//! The machine-readable clock of `docs/pattern-clock.md`: written as cells of the picture, and
//! read back from any picture of it.

use super::canvas::{Canvas, Colour};

/// The picture's lattice.
pub(super) const COLUMNS: usize = 64;
pub(super) const ROWS: usize = 36;

/// Where the strip stands on the lattice.
const LEFT: usize = 16;
const TOP: usize = 32;
/// Cells of a row, the fixed ones included.
const CELLS: usize = 32;
const DATA_CELLS: usize = 28;
/// The fixed cells at both ends of row 0; row 1 has the inverse.
const SYNC: [(usize, bool); 4] = [(0, true), (1, false), (30, false), (31, true)];
/// The least difference of white and black, of 255, in a picture that has a clock.
const CONTRAST_MIN: f32 = 48.0;
/// The clock counts milliseconds in 48 bits: until the year 10889.
const CLOCK_BYTES: usize = 6;

/// Draws the clock and the plate around it.
pub(super) fn write(canvas: &mut Canvas, unix_ms: u64) {
    let cell_x = canvas.width as f32 / COLUMNS as f32;
    let cell_y = canvas.height as f32 / ROWS as f32;
    let region = |canvas: &Canvas, x0: f32, y0: f32, x1: f32, y1: f32| {
        // Whole pixels nearest to the lattice, so that neighbours share an edge and no pixel.
        let (x, y) = (|x: f32| (x * cell_x).round(), |y: f32| (y * cell_y).round());
        canvas.region(x(x0), y(y0), x(x1), y(y1))
    };
    let (left, top, cells) = (LEFT as f32, TOP as f32, CELLS as f32);
    let plate = region(canvas, left - 0.5, top - 0.5, left + cells + 0.5, top + 2.5);
    canvas.fill(plate, Colour::BLACK);
    for (row, bits) in encode(unix_ms).iter().enumerate() {
        for (column, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            let (x, y) = ((LEFT + column) as f32, (TOP + row) as f32);
            let cell = region(canvas, x, y, x + 1.0, y + 1.0);
            canvas.fill(cell, Colour::WHITE);
        }
    }
}

/// Reads the clock of a picture, in Unix milliseconds, from its luma plane without padding.
/// `None` if there is no clock to be read, or the plane is smaller than its size says.
pub fn read_clock(luma: &[u8], width: usize, height: usize) -> Option<u64> {
    if width < COLUMNS || height < ROWS || luma.len() < width.checked_mul(height)? {
        return None;
    }
    let mut levels = [[0.0; CELLS]; 2];
    for (row, levels) in levels.iter_mut().enumerate() {
        for (column, level) in levels.iter_mut().enumerate() {
            let x = (LEFT + column) as f32;
            let y = (TOP + row) as f32;
            *level = mean(luma, width, height, [x + 0.25, y + 0.25, x + 0.75, y + 0.75]);
        }
    }
    let (mut white, mut black) = (f32::INFINITY, 0.0_f32);
    for (row, levels) in levels.iter().enumerate() {
        for (column, is_white) in SYNC {
            match is_white ^ (row == 1) {
                true => white = white.min(levels[column]),
                false => black = black.max(levels[column]),
            }
        }
    }
    if white - black < CONTRAST_MIN {
        return None;
    }
    let threshold = (white + black) / 2.0;
    let mut bits = levels.iter().flat_map(|row| &row[2..2 + DATA_CELLS]).map(|l| *l > threshold);
    let mut byte = || (0..8).fold(0, |byte, _| byte << 1 | u8::from(bits.next() == Some(true)));
    let clock: [u8; CLOCK_BYTES] = std::array::from_fn(|_| byte());
    let checked = byte() == crc8(&clock);
    checked.then(|| clock.iter().fold(0, |ms, byte| ms << 8 | u64::from(*byte)))
}

/// The mean luma of a rectangle given on the lattice, rounded outward to whole pixels.
pub(super) fn mean(luma: &[u8], width: usize, height: usize, [x0, y0, x1, y1]: [f32; 4]) -> f32 {
    let (cell_x, cell_y) = (width as f32 / COLUMNS as f32, height as f32 / ROWS as f32);
    let columns = (x0 * cell_x) as usize..((x1 * cell_x).ceil() as usize).min(width);
    let rows = (y0 * cell_y) as usize..((y1 * cell_y).ceil() as usize).min(height);
    let count = columns.len() * rows.len();
    let row_sum = |y| {
        let row: &[u8] = &luma[y * width..][columns.clone()];
        row.iter().map(|pixel| u64::from(*pixel)).sum::<u64>()
    };
    rows.map(row_sum).sum::<u64>() as f32 / count as f32
}

/// Both rows of the strip.
fn encode(unix_ms: u64) -> [[bool; CELLS]; 2] {
    let mut data = [0; CLOCK_BYTES + 1];
    data[..CLOCK_BYTES].copy_from_slice(&unix_ms.to_be_bytes()[8 - CLOCK_BYTES..]);
    data[CLOCK_BYTES] = crc8(&data[..CLOCK_BYTES]);
    let mut bits = data.iter().flat_map(|byte| (0..8).map(move |n| byte >> (7 - n) & 1 == 1));
    let mut rows = [[false; CELLS]; 2];
    for (row, cells) in rows.iter_mut().enumerate() {
        for (column, is_white) in SYNC {
            cells[column] = is_white ^ (row == 1);
        }
        for cell in &mut cells[2..2 + DATA_CELLS] {
            *cell = bits.next() == Some(true);
        }
    }
    rows
}

/// CRC-8 of polynomial 0x07, from 0xFF: a strip that is all black or all white is no clock.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| crc << 1 ^ if crc & 0x80 != 0 { 0x07 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example_is_what_is_drawn() {
        let rows = encode(1_795_123_456_789);
        let show = |row: [bool; CELLS]| row.map(|bit| if bit { '1' } else { '0' });
        assert_eq!(String::from_iter(show(rows[0])), "10000000011010000111110101101101");
        assert_eq!(String::from_iter(show(rows[1])), "01001000101011000101010011010010");
        assert_eq!(crc8(b"123456789"), 0xfb);
    }

    #[test]
    fn what_is_drawn_is_read_at_any_size() {
        for (width, height) in [(1280, 720), (640, 360), (854, 480), (1920, 1080), (426, 240)] {
            for ms in [0, 1, 1_795_123_456_789, (1 << 48) - 1] {
                let mut canvas = Canvas::new(width, height);
                write(&mut canvas, ms);
                assert_eq!(read_clock(canvas.luma(), width, height), Some(ms), "{width}x{height}");
            }
        }
    }

    #[test]
    fn pictures_without_a_clock_have_none() {
        assert_eq!(read_clock(&[], 0, 0), None);
        assert_eq!(read_clock(&[0; 100], 1280, 720), None);
        assert_eq!(read_clock(&[0; 1280 * 720], usize::MAX, 720), None);
        for level in [16, 128, 235] {
            assert_eq!(read_clock(&[level; 1280 * 720], 1280, 720), None);
        }
        let noise: Vec<u8> = (0..1280 * 720_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        assert_eq!(read_clock(&noise, 1280, 720), None);
        // One cell wrong: the checksum tells.
        let mut canvas = Canvas::new(1280, 720);
        write(&mut canvas, 1_795_123_456_789);
        let cell = canvas.region(460.0, 640.0, 480.0, 660.0);
        canvas.fill(cell, Colour::WHITE);
        assert_eq!(read_clock(canvas.luma(), 1280, 720), None);
    }
}
