//! Things worth knowing about a reading, as a small set.

/// A set of flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

const NAMES: [(Flags, &str); 6] = [
    (Flags::METER_TRUNCATED, "meter_truncated"),
    (Flags::METER_ERROR, "meter_error"),
    (Flags::RAW_OMITTED, "usage_raw_omitted"),
    (Flags::TOTAL_DIFFERS, "usage_total_differs"),
    (Flags::OUTPUT_FROM_TOTAL, "usage_output_from_total"),
    (Flags::TEXT_TRUNCATED, "output_text_truncated"),
];

impl Flags {
    /// A part of the answer was longer than the meter looks at.
    pub const METER_TRUNCATED: Self = Self(1);
    /// A part of the answer could not be understood.
    pub const METER_ERROR: Self = Self(2);
    /// The provider's usage object was longer than is kept.
    pub const RAW_OMITTED: Self = Self(4);
    /// The provider's total is not the sum of input and output.
    pub const TOTAL_DIFFERS: Self = Self(8);
    /// The provider's total shows output tokens that it reports nowhere else.
    pub const OUTPUT_FROM_TOTAL: Self = Self(16);
    /// The generated text was longer than is kept for counting; it matters only where that text is counted.
    pub const TEXT_TRUNCATED: Self = Self(32);

    /// Adds all of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether all of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags as written in events.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(flag, _)| self.contains(*flag)).map(|(_, name)| name)
    }
}
