//! A hash of which every prefix of a text is available on the way.

/// Odd constants with well mixed bits (the fractional digits of π, as in foldhash).
const CHUNK: u64 = 0x243f_6a88_85a3_08d3;
const TAIL: u64 = 0x1319_8a2e_0370_7344 | 1;
const LENGTH: u64 = 0xa409_3822_299f_31d0 | 1;

/// Walks over a text in steps of growing length. The hash at a length costs one multiplication, plus one for every eight
/// bytes walked over.
pub(super) struct PrefixHasher<'t> {
    text: &'t [u8],
    fold_case: bool,
    state: u64,
    /// Bytes taken into `state`; a multiple of eight.
    taken: usize,
}

impl<'t> PrefixHasher<'t> {
    pub(super) fn new(text: &'t [u8], fold_case: bool) -> Self {
        Self { text, fold_case, state: LENGTH, taken: 0 }
    }

    /// The hash of the first `length` bytes; `length` must not shrink from call to call nor pass the end.
    pub(super) fn at(&mut self, length: usize) -> u64 {
        debug_assert!(length >= self.taken && length <= self.text.len());
        while length - self.taken >= 8 {
            let chunk = self.load(self.taken, 8);
            self.state = fold(self.state ^ chunk, CHUNK);
            self.taken += 8;
        }
        let tail = self.load(self.taken, length - self.taken);
        fold(self.state ^ tail ^ (length as u64).wrapping_mul(LENGTH), TAIL)
    }

    fn load(&self, from: usize, count: usize) -> u64 {
        let mut bytes = [0; 8];
        if count == 8 {
            bytes.copy_from_slice(&self.text[from..from + 8]);
        } else {
            for (to, byte) in bytes.iter_mut().zip(&self.text[from..from + count]) {
                *to = *byte;
            }
        }
        if self.fold_case {
            bytes.make_ascii_lowercase();
        }
        u64::from_le_bytes(bytes)
    }
}

/// Multiplies to 128 bits and folds the halves together: every input bit reaches every output bit.
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    let [low, high] = [wide & u128::from(u64::MAX), wide >> 64].map(|half| u64::try_from(half).unwrap_or_default());
    low ^ high
}
