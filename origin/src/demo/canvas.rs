//! A yuv420p picture and the few ways to paint on it: rectangles, shapes by distance, masks.
//!
//! Shapes are given as a signed distance in pixels, negative inside, which makes smooth edges.
//! What is drawn in every frame is rendered once to a [`Mask`] and blended from there.

/// A colour as BT.709 limited-range luma and chroma.
#[derive(Clone, Copy)]
pub(super) struct Colour {
    pub(super) y: u8,
    pub(super) u: u8,
    pub(super) v: u8,
}

impl Colour {
    pub(super) const BLACK: Self = Self::grey(16);
    pub(super) const WHITE: Self = Self::grey(235);

    pub(super) const fn grey(y: u8) -> Self {
        Self { y, u: 128, v: 128 }
    }
}

/// A picture: the three planes, one behind the other, without padding. Both sides are even.
#[derive(Clone)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) planes: Vec<u8>,
}

/// A region in whole pixels, from `x0`, `y0` up to and without `x1`, `y1`.
#[derive(Clone, Copy)]
pub(super) struct Region {
    pub(super) x0: usize,
    pub(super) y0: usize,
    pub(super) x1: usize,
    pub(super) y1: usize,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        let mut planes = vec![128; width * height * 3 / 2];
        planes[..width * height].fill(16);
        Self { width, height, planes }
    }

    /// The luma plane.
    pub(super) fn luma(&mut self) -> &mut [u8] {
        &mut self.planes[..self.width * self.height]
    }

    /// Both chroma planes, U first.
    fn chroma(&mut self) -> (&mut [u8], &mut [u8]) {
        let luma = self.width * self.height;
        self.planes[luma..].split_at_mut(luma / 4)
    }

    /// The whole pixels of a rectangle given in pixels, cut at the edges of the picture.
    pub(super) fn region(&self, x0: f32, y0: f32, x1: f32, y1: f32) -> Region {
        let clamp = |value: f32, max: usize| (value.max(0.0) as usize).min(max);
        Region {
            x0: clamp(x0, self.width),
            y0: clamp(y0, self.height),
            x1: clamp(x1.ceil(), self.width),
            y1: clamp(y1.ceil(), self.height),
        }
    }

    /// Fills whole pixels of luma; chroma of every block of 2×2 that they touch.
    pub(super) fn fill(&mut self, region: Region, colour: Colour) {
        let width = self.width;
        for row in self.luma()[region.y0 * width..region.y1 * width].chunks_exact_mut(width) {
            row[region.x0..region.x1].fill(colour.y);
        }
        let half = width / 2;
        let rows = region.y0 / 2 * half..region.y1.div_ceil(2) * half;
        let columns = region.x0 / 2..region.x1.div_ceil(2);
        let (u, v) = self.chroma();
        for (plane, value) in [(u, colour.u), (v, colour.v)] {
            for row in plane[rows.clone()].chunks_exact_mut(half) {
                row[columns.clone()].fill(value);
            }
        }
    }

    /// Paints the shape whose signed distance at a point is `distance`, within `region`.
    pub(super) fn paint(
        &mut self,
        region: Region,
        colour: Colour,
        distance: impl Fn(f32, f32) -> f32,
    ) {
        let width = self.width;
        for y in region.y0..region.y1 {
            for x in region.x0..region.x1 {
                let alpha = coverage(distance(x as f32 + 0.5, y as f32 + 0.5));
                blend(&mut self.planes[y * width + x], colour.y, alpha);
            }
        }
        let half = width / 2;
        let (u, v) = self.chroma();
        for y in region.y0 / 2..region.y1.div_ceil(2) {
            for x in region.x0 / 2..region.x1.div_ceil(2) {
                let alpha = coverage(distance(x as f32 * 2.0 + 1.0, y as f32 * 2.0 + 1.0) / 2.0);
                blend(&mut u[y * half + x], colour.u, alpha);
                blend(&mut v[y * half + x], colour.v, alpha);
            }
        }
    }

    /// Blends a mask with its corner at the even pixel at or before `x`, `y`. What would leave the
    /// picture is cut.
    pub(super) fn stamp(&mut self, mask: &Mask, x: usize, y: usize, colour: Colour) {
        let (x, y) = (x & !1, y & !1);
        let columns = mask.width.min(self.width.saturating_sub(x));
        let rows = mask.height.min(self.height.saturating_sub(y));
        let width = self.width;
        for row in 0..rows {
            let target = &mut self.planes[(y + row) * width + x..][..columns];
            for (pixel, alpha) in target.iter_mut().zip(&mask.luma[row * mask.width..]) {
                blend(pixel, colour.y, *alpha);
            }
        }
        let half = width / 2;
        let (u, v) = self.chroma();
        for row in 0..rows / 2 {
            let at = (y / 2 + row) * half + x / 2;
            let alphas = &mask.chroma[row * mask.width / 2..][..columns / 2];
            for (plane, value) in [(&mut *u, colour.u), (&mut *v, colour.v)] {
                for (pixel, alpha) in plane[at..at + columns / 2].iter_mut().zip(alphas) {
                    blend(pixel, value, *alpha);
                }
            }
        }
    }
}

/// The coverage of a shape, pixel by pixel: painted once, stamped in every frame.
pub(super) struct Mask {
    width: usize,
    height: usize,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl Mask {
    /// Renders a shape in a box of at least `width`×`height` pixels.
    pub(super) fn render(width: f32, height: f32, distance: impl Fn(f32, f32) -> f32) -> Self {
        let even = |size: f32| (size.ceil() as usize).next_multiple_of(2);
        let (width, height) = (even(width), even(height));
        let plane = |columns: usize, rows: usize, scale: f32| {
            let at = |index: usize| (index as f32 + 0.5) * scale;
            (0..rows)
                .flat_map(|y| (0..columns).map(move |x| (x, y)))
                .map(|(x, y)| coverage(distance(at(x), at(y)) / scale))
                .collect()
        };
        let (luma, chroma) = (plane(width, height, 1.0), plane(width / 2, height / 2, 2.0));
        Self { width, height, luma, chroma }
    }
}

/// How much of a pixel a shape covers, of 255, whose edge is `distance` pixels away.
fn coverage(distance: f32) -> u8 {
    ((0.5 - distance).clamp(0.0, 1.0) * 255.0) as u8
}

fn blend(pixel: &mut u8, value: u8, alpha: u8) {
    match alpha {
        0 => {}
        255 => *pixel = value,
        _ => {
            let (old, new, alpha) = (u32::from(*pixel), u32::from(value), u32::from(alpha));
            *pixel = ((old * (255 - alpha) + new * alpha + 127) / 255) as u8;
        }
    }
}

/// Distance of a point to the line from `a` to `b`.
pub(super) fn to_line((x, y): (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (along_x, along_y) = (b.0 - a.0, b.1 - a.1);
    let length = (along_x * along_x + along_y * along_y).max(f32::MIN_POSITIVE);
    let t = (((x - a.0) * along_x + (y - a.1) * along_y) / length).clamp(0.0, 1.0);
    (x - a.0 - t * along_x).hypot(y - a.1 - t * along_y)
}
