//! From stored values to light, in f64 as pydicom computes it: modality LUT, VOI LUT or window, inversion (PS3.3, C.11).

use super::damaged;
use super::header::{Function, Header, Lut};
use crate::decode::DecodeError;

/// From values of a film to levels of gray.
pub(super) struct Light<'a> {
    header: &'a Header,
    /// What the modality LUT makes of the least and the most stored value that the bits allow.
    range: (f64, f64),
}

impl<'a> Light<'a> {
    pub(super) fn of(header: &'a Header) -> Result<Self, DecodeError> {
        if let Some((_, width)) = header.window {
            let allowed = if header.function == Function::Linear { width >= 1.0 } else { width > 0.0 };
            if !allowed && header.voi_lut.is_none() {
                return Err(damaged(format!("its window has a width of {width}")));
            }
        }
        let (least, most) = limits(header);
        let range = match &header.modality_lut {
            Some(lut) => (0.0, f64::from(u32::from(most_of(lut)))),
            None => (rescaled(header, least as f64), rescaled(header, most as f64)),
        };
        Ok(Light { header, range })
    }

    /// The level of each value. Films of up to 16 bits are looked up in a table of all values.
    pub(super) fn levels(&self, values: &[i32]) -> Vec<u8> {
        let (least, most) = limits(self.header);
        if self.header.bits_stored > 16 || (values.len() as i64) < most - least {
            return values.iter().map(|value| self.level(i64::from(*value))).collect();
        }
        let table: Vec<u8> = (least..=most).map(|value| self.level(value)).collect();
        let (least, last) = (least as i32, table.len() - 1);
        values.iter().map(|value| table[(value.wrapping_sub(least) as u32 as usize).min(last)]).collect()
    }

    /// 0 is black.
    fn level(&self, stored: i64) -> u8 {
        if self.header.padding.is_some_and(|(from, to)| (from..=to).contains(&stored)) {
            return 0;
        }
        let light = self.light(stored).clamp(0.0, 1.0);
        let light = if self.header.inverse { 1.0 - light } else { light };
        (255.0 * light + 0.5) as u8
    }

    /// 0 to 1 before inversion.
    fn light(&self, stored: i64) -> f64 {
        let header = self.header;
        let value = match &header.modality_lut {
            Some(lut) => looked_up(lut, stored as f64),
            None => rescaled(header, stored as f64),
        };
        if let Some(lut) = &header.voi_lut {
            return looked_up(lut, value) / f64::from(u32::from(most_of(lut)));
        }
        let Some((center, width)) = header.window else {
            // Without a window the darkest value is the least, whatever the sign of the slope.
            let (low, high) = (self.range.0.min(self.range.1), self.range.0.max(self.range.1));
            return (value - low) / (high - low).max(f64::MIN_POSITIVE);
        };
        match header.function {
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
            Function::Linear | Function::LinearExact => {
                let linear = header.function == Function::Linear;
                let (center, width) = if linear { (center - 0.5, width - 1.0) } else { (center, width) };
                if value <= center - width / 2.0 {
                    0.0
                } else if value > center + width / 2.0 {
                    1.0
                } else {
                    (value - center) / width + 0.5
                }
            }
        }
    }
}

/// The least and the most value that the stored bits allow.
fn limits(header: &Header) -> (i64, i64) {
    let bits = u32::from(header.bits_stored);
    if header.signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

fn rescaled(header: &Header, value: f64) -> f64 {
    header.rescale.map_or(value, |(slope, intercept)| value * slope + intercept)
}

/// The most that entries of a table may be.
fn most_of(lut: &Lut) -> u16 {
    ((1_u32 << lut.bits) - 1) as u16
}

/// The entry for a value; values before the first have that one, those beyond the last the last.
fn looked_up(lut: &Lut, value: f64) -> f64 {
    let at = (value - f64::from(lut.first)).max(0.0) as usize;
    let entry = lut.entries.get(at).or(lut.entries.last()).copied().unwrap_or(0);
    f64::from(entry)
}
