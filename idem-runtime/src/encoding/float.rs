//! Floats of 16 bits, which Rust has no type for.

/// Every NaN is this one.
pub(super) const NAN: u16 = 0x7e00;

/// The 16-bit float that has exactly this value, if there is one. NaN is not asked for.
#[inline]
pub(super) fn half(value: f32) -> Option<u16> {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let fraction = bits & 0x007f_ffff;
    match (bits >> 23) & 0xff {
        0 => (fraction == 0).then_some(sign),
        0xff => Some(sign | 0x7c00),
        // 2^-14 and more: a normal number whose last 13 bits must be unused.
        exponent @ 113..=142 => (fraction & 0x1fff == 0)
            .then_some(sign | ((exponent - 112) << 10) as u16 | (fraction >> 13) as u16),
        // 2^-24 and more: a multiple of 2^-24, written without an exponent.
        exponent @ 103..=112 => {
            let digits = fraction | 0x0080_0000;
            let unused = 126 - exponent;
            (digits.trailing_zeros() >= unused).then_some(sign | (digits >> unused) as u16)
        }
        _ => None,
    }
}

/// The value of a 16-bit float.
pub(super) fn from_half(half: u16) -> f64 {
    let fraction = f64::from(half & 0x03ff);
    let magnitude = match (half >> 10) & 0x1f {
        0 => fraction * (1.0 / 16_777_216.0),
        0x1f if half & 0x03ff == 0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1024.0 + fraction) * f64::from_bits((u64::from(exponent) + 1023 - 25) << 52),
    };
    if half & 0x8000 == 0 { magnitude } else { -magnitude }
}
