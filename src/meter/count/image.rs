//! What an image costs in tokens, by the formulas that the providers publish.
//!
//! OpenAI: a base and a number for each tile of 512 pixels, or patches of 32 pixels times a factor
//! (platform.openai.com/docs/guides/images-vision, 2025-11). Anthropic: an area by 750
//! (docs.anthropic.com/en/docs/build-with-claude/vision). Google: 258 for each tile (ai.google.dev/gemini-api/docs/tokens).
//! How providers round while they scale is not published, so all but a fixed number is an estimate.

pub(super) mod size;

use size::Size;

/// How a family of models prices images.
#[derive(Clone, Copy, Debug)]
enum Formula {
    /// OpenAI's tiles: the base, and for each tile.
    Tiles(u64, u64),
    /// OpenAI's patches, in hundredths of a token for each.
    Patches(u64),
    Anthropic,
    Google,
}

/// Families by how their names begin; the first that fits holds.
const FAMILIES: [(&str, Formula); 17] = [
    ("gpt-4o-mini", Formula::Tiles(2833, 5667)),
    ("gpt-4o", Formula::Tiles(85, 170)),
    ("chatgpt-4o", Formula::Tiles(85, 170)),
    ("gpt-4.1-mini", Formula::Patches(162)),
    ("gpt-4.1-nano", Formula::Patches(246)),
    ("gpt-4.1", Formula::Tiles(85, 170)),
    ("gpt-4.5", Formula::Tiles(85, 170)),
    ("gpt-4-turbo", Formula::Tiles(85, 170)),
    ("gpt-4-vision", Formula::Tiles(85, 170)),
    ("gpt-5-mini", Formula::Patches(162)),
    ("gpt-5-nano", Formula::Patches(246)),
    ("gpt-5-", Formula::Tiles(70, 140)),
    ("o4-mini", Formula::Patches(172)),
    ("o1", Formula::Tiles(75, 150)),
    ("o3", Formula::Tiles(75, 150)),
    ("gemini-1.5", Formula::Google),
    ("gemini-2", Formula::Google),
];

/// How closely the model is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail {
    /// As closely as it does unasked, or more.
    #[default]
    Full,
    /// At the lowest resolution.
    Low,
}

/// What an image costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    /// By a formula that leaves nothing open.
    Exactly(u64),
    About(u64),
}

/// The cost of an image of this size; `None` where no formula is known for the model.
pub(super) fn cost(model: &str, size: Option<Size>, detail: Detail) -> Option<Cost> {
    match (formula(model)?, size) {
        (Formula::Tiles(base, _), _) if detail == Detail::Low => Some(Cost::Exactly(base)),
        (Formula::Tiles(base, tile), Some(size)) => Some(Cost::About(base + tile * tiles(size))),
        (Formula::Patches(hundredths), Some(size)) => Some(Cost::About(patches(size) * hundredths / 100)),
        (Formula::Anthropic, Some(size)) => Some(Cost::About(anthropic(size))),
        (Formula::Google, Some(size)) => Some(Cost::About(google(size))),
        (_, None) => None,
    }
}

fn formula(model: &str) -> Option<Formula> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    // Behind Bedrock the maker stands before the name: `us.anthropic.claude-…`.
    if name.contains("claude") {
        return Some(Formula::Anthropic);
    }
    if name == "gpt-5" {
        return Some(Formula::Tiles(70, 140));
    }
    FAMILIES.iter().find(|(family, _)| name.starts_with(family)).map(|(_, formula)| *formula)
}

/// Made to fit 2048 by 2048, then to a shorter side of 768, never larger: how many tiles of 512 cover it.
fn tiles(Size { width, height }: Size) -> u64 {
    let (width, height) = (f64::from(width), f64::from(height));
    let fit = (2048.0 / width.max(height)).min(1.0);
    let scale = fit * (768.0 / (width.min(height) * fit)).min(1.0);
    cover(width * scale, 512.0) * cover(height * scale, 512.0)
}

/// How many patches of 32 cover it, made smaller so that they are at most 1536.
fn patches(Size { width, height }: Size) -> u64 {
    const MOST: f64 = 1536.0;
    let (wide, high) = (f64::from(width) / 32.0, f64::from(height) / 32.0);
    let all = cover(wide, 1.0) * cover(high, 1.0);
    if all <= MOST as u64 {
        return all;
    }
    let scale = (MOST / (wide * high)).sqrt();
    let whole = |side: f64| ((side * scale).floor() / (side * scale)).max(f64::EPSILON);
    let scale = scale * whole(wide).min(whole(high));
    (cover(wide * scale, 1.0) * cover(high * scale, 1.0)).min(MOST as u64)
}

/// Made to fit 1568 by 1568, an area by 750, and no more than some 1,600.
fn anthropic(Size { width, height }: Size) -> u64 {
    let (width, height) = (f64::from(width), f64::from(height));
    let fit = (1568.0 / width.max(height)).min(1.0);
    ((width * fit * height * fit / 750.0).ceil() as u64).min(1600)
}

/// 258 for a small image, and for each tile of a larger one, whose side is the shorter of the image's by 1.5.
fn google(Size { width, height }: Size) -> u64 {
    const TILE: u64 = 258;
    if width <= 384 && height <= 384 {
        return TILE;
    }
    let side = (f64::from(width.min(height)) / 1.5).floor().clamp(256.0, 768.0);
    TILE * cover(f64::from(width), side) * cover(f64::from(height), side)
}

/// How many pieces of this length cover a side. Scaling must not make one more of a hair's breadth.
fn cover(side: f64, piece: f64) -> u64 {
    ((side / piece - 1e-9).ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::{Cost, Detail, Size, cost};

    fn about(model: &str, width: u32, height: u32) -> Option<Cost> {
        cost(model, Some(Size { width, height }), Detail::Full)
    }

    #[test]
    fn images_cost_what_the_providers_examples_say() {
        let cases = [
            ("gpt-4o", 1024, 1024, 765),
            ("gpt-4o", 2048, 4096, 1105),
            ("gpt-4o", 4096, 8192, 1105),
            ("gpt-4o", 512, 512, 255),
            ("openai/gpt-4o-mini-2024-07-18", 512, 512, 8500),
            ("gpt-5", 1024, 1024, 630),
            ("o4-mini", 1024, 1024, 1761),
            ("gpt-4.1-mini", 1800, 2400, 1452 * 162 / 100),
            ("claude-sonnet-4-5", 200, 200, 54),
            ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", 1000, 1000, 1334),
            ("claude-opus-4", 8000, 8000, 1600),
            ("gemini-2.5-flash", 384, 384, 258),
            ("gemini-2.0-flash", 960, 540, 1548),
        ];
        for (model, width, height, want) in cases {
            assert_eq!(about(model, width, height), Some(Cost::About(want)), "{model} {width}x{height}");
        }
    }

    #[test]
    fn no_formula_is_no_number() {
        assert_eq!(about("llava", 512, 512), None);
        assert_eq!(cost("gpt-4o", None, Detail::Full), None, "without a size");
        assert_eq!(cost("gpt-4o", None, Detail::Low), Some(Cost::Exactly(85)), "the low resolution has one price");
        for side in [1, 2, 31, 65_535, u32::MAX] {
            for model in ["gpt-4o", "o4-mini", "claude-opus-4", "gemini-2.0-flash"] {
                assert!(about(model, side, 1).is_some() && about(model, u32::MAX, side).is_some(), "{model} {side}");
            }
        }
    }
}
