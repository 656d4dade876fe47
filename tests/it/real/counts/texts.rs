//! Ten thousand texts, the same in every run: languages, emoji, code, white space, numbers, noise, and one letter over and
//! over.

use fastrand::Rng;

const WORDS: [&str; 40] = [
    "the",
    "quick",
    "Brown",
    "FOX's",
    "isn't",
    "we'll",
    "I'VE",
    "antidisestablishmentarianism",
    "naïve",
    "façade",
    "Übersetzung",
    "Straße",
    "привет",
    "Россия",
    "ελληνικά",
    "שלום",
    "مرحبا",
    "नमस्ते",
    "สวัสดี",
    "xin chào",
    "日本語",
    "文章",
    "한국어",
    "中文",
    "，",
    "。",
    "カタカナ",
    "HTTPServer",
    "camelCase",
    "snake_case",
    "O'Neill",
    "e.g.",
    "3.14159",
    "2024-08-06",
    "1,000,000",
    "½",
    "①",
    "Ⅷ",
    "x²",
    "ﬁne",
];
const EMOJI: [&str; 12] =
    ["😀", "👨\u{200d}👩\u{200d}👧", "🏳️\u{200d}🌈", "👍🏽", "🇩🇪", "❤️", "☕", "1️⃣", "🦀", "✨", "🫠", "\u{fe0f}"];
const CODE: [&str; 24] = [
    "fn main() {\n",
    "    let x = &mut y[0..n];\n",
    "\treturn;\r\n",
    "}\n\n",
    "// TODO: why?\n",
    "if (a != b && c <= d) ",
    "=>",
    "::<Vec<_>>",
    "<div class=\"a\">",
    "</div>\n",
    "SELECT * FROM t WHERE id=1;--",
    "{\"key\": [1, 2.5e-3, null]}",
    "#!/usr/bin/env bash\n",
    "${VAR:-x}",
    "def f(self, *args, **kwargs):\n",
    "        pass\n",
    "0xDEADBEEF",
    "\\u00e9",
    "https://example.com/a//b?c=d&e=%20#f",
    "C:\\Users\\x",
    "a.b.c()",
    "$$$",
    "====",
    "/////",
];
const SPACES: [&str; 14] = [
    " ", "  ", "\n", "\n\n\n", "\r\n", "\t", "\t\t", "\u{a0}", "\u{3000}", "\u{2028}", "\u{85}", " \n ", "        ",
    "\u{200b}",
];

/// All of them.
pub(super) fn all() -> Vec<String> {
    let mut random = Rng::with_seed(20_261_121);
    let mut texts = long();
    texts
        .extend(["", " ", "\n", "a", "é", "\0", "\u{fffd}", "'s", "<|endoftext|>", "<|fim_prefix|>"].map(String::from));
    while texts.len() < 10_000 {
        let pieces = random.usize(1..30);
        let kind = random.u8(0..8);
        texts.push((0..pieces).map(|_| piece(kind, &mut random)).collect());
    }
    texts
}

/// What a slow tokenizer takes minutes for, one of each.
fn long() -> Vec<String> {
    let mut texts: Vec<String> =
        ["a", " ", "\n", "ab", "é", "中", "😀", "=", "-", "A", "aA", "1", "\t ", "'s", "\u{300}"]
            .map(|unit| unit.repeat(20_000))
            .into();
    texts.push("a".repeat(100_000));
    let mut random = Rng::with_seed(7);
    for letters in [2, 4, 26] {
        texts.push((0..50_000).map(|_| char::from(b'a' + random.u8(0..letters))).collect());
        // Around the length at which pieces are merged in another way.
        texts.extend((50..80).map(|length| (0..length).map(|_| char::from(b'a' + random.u8(0..letters))).collect()));
    }
    texts
}

fn piece(kind: u8, random: &mut Rng) -> String {
    let of = |list: &[&str], random: &mut Rng| list[random.usize(0..list.len())].to_owned();
    match kind {
        0 => of(&WORDS, random) + " ",
        1 => of(&WORDS, random) + &of(&SPACES, random),
        2 => of(&EMOJI, random) + &of(&EMOJI, random),
        3 => of(&CODE, random),
        4 => of(&SPACES, random),
        5 => char_of(random).to_string(),
        6 => random.u64(..).to_string(),
        _ => match random.u8(0..4) {
            0 => of(&WORDS, random),
            1 => of(&EMOJI, random),
            2 => of(&CODE, random),
            _ => of(&SPACES, random),
        },
    }
}

/// Any character, the common ranges more often than the rest.
fn char_of(random: &mut Rng) -> char {
    let range = match random.u8(0..6) {
        0 => 0..0x80,
        1 => 0x80..0x600,
        2 => 0x4e00..0xa000,
        3 => 0xac00..0xd7a4,
        4 => 0x1f000..0x1fb00,
        _ => 0..0x11_0000,
    };
    char::from_u32(random.u32(range)).unwrap_or('\u{fffd}')
}
