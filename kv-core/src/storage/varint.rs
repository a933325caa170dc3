//! Numbers and byte strings of any length, as they stand in batches and tables: LEB128, seven bits a
//! byte, the lowest first. Only the shortest form of a number is one, so that everything has one form.

use alloc::vec::Vec;

/// The most bytes that a number takes.
pub(super) const BYTES_MAX: usize = 10;

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends bytes with their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a number off the front.
pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let (&byte, behind) = rest.split_first()?;
    if byte < 0x80 {
        *rest = behind;
        return Some(u64::from(byte));
    }
    take_long(rest)
}

/// Takes bytes with their length off the front.
pub(super) fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take(rest)?;
    take_exactly(rest, length)
}

/// Takes so many bytes off the front.
pub(super) fn take_exactly<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes)
}

fn take_long(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return (shift == 0 || byte != 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_returns_and_has_one_form() {
        for shift in 0..64 {
            for number in [1_u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                put(&mut bytes, number);
                let mut rest = &bytes[..];
                assert_eq!(take(&mut rest), Some(number));
                assert!(rest.is_empty());
                for length in 0..bytes.len() {
                    assert_eq!(take(&mut &bytes[..length]), None, "{length} bytes of {number}");
                }
                if let Some(last) = bytes.last_mut() {
                    *last |= 0x80;
                }
                bytes.push(0);
                assert_eq!(take(&mut &bytes[..]), None, "a longer form of {number}");
            }
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_none() {
        assert_eq!(take(&mut &[0xff; 11][..]), None);
        assert_eq!(take(&mut &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2][..]), None);
    }
}
