//! The shape of text, byte by byte: classes of bytes, and the states between them.
//!
//! A tokenizer first cuts text into pieces (a word with the space before it, up to three digits, a run of punctuation,
//! the spaces of an indentation), then finds each piece in its vocabulary or has to split it. Where pieces begin can be
//! read off the classes of neighbouring bytes; how often a piece is split depends on its script, its length, and what
//! stands before it. A state remembers just that: the kind of run the last byte stood in, and how far into it.
//!
//! This file knows no weights. The fit (`examples/fit_tokens.rs`) includes it to count how often each class follows
//! each state; `model.rs` holds what each such step is worth.

/// How many classes there are, the end of a text among them.
pub(crate) const CLASSES: usize = END as usize + 1;

/// The class of the end of a text, which no byte has.
pub(crate) const END: u8 = MORE + 10;

// The classes of ASCII. Letters are grouped by how common they are; the pairs of `model.rs` tell them apart.
const LOWER: u8 = 0; // 7 groups
const UPPER: u8 = 7; // 2 groups: vowels, others
const DIGIT: u8 = 9;
const SPACE: u8 = 10;
const NEWLINE: u8 = 11;
const TAB: u8 = 12;
const PUNCT: u8 = 13; // 17 groups
const PUNCT_END: u8 = 30;
const LOWER_GROUPS: [&[u8]; 7] = [b"ea", b"iou", b"tnrs", b"lcdmh", b"pgfby", b"vwk", b"jxqz"];
const PUNCT_GROUPS: [&[u8]; 17] = [
    b".", b",", b"'`", b"\"", b":;", b"(", b")", b"[{", b"]}", b"/\\", b"_", b"-", b"=+", b"<", b">", b"*#~^",
    b"@&%$!?|",
];
const SLASH: u8 = 22;
const DASH: u8 = 24;
const LOW_LINE: u8 = 23;
const EQUALS: u8 = 25;

// The first bytes of characters outside ASCII, by what their block mostly holds.
const SIGNS: u8 = 30; // C2: non-breaking space, guillemets, degrees
const ACCENTS: u8 = 31; // C3
const FAR_ACCENTS: u8 = 32; // C4..C5
const VIETNAMESE: u8 = 33; // C6..CD: hooks and horns, among rarer Latin
const GREEK: u8 = 34;
const CYRILLIC: u8 = 35; // and 36: its second half
const RARE_TWO: u8 = 37; // D2..D5, DC..DF
const HEBREW: u8 = 38; // D6..D7
const ARABIC: u8 = 39; // D8, and 40: D9..DB
const INDIC: u8 = 41; // E0, Thai and Lao too
const FAR_THREE: u8 = 42; // E1
const DASHES: u8 = 43; // E2: typographic punctuation, arrows, mathematics
const KANA: u8 = 44; // E3, and CJK punctuation
const HAN: u8 = 45; // E4..E9, 3 groups
const HANGUL: u8 = 48; // EA..ED
const FULL_WIDTH: u8 = 49; // EE..EF
const EMOJI: u8 = 50; // F0..F4

// Continuation bytes, by 4, 8 or 16 code points, as the blocks of three-byte scripts begin.
const MORE: u8 = 51; // 10 groups
const MORE_80: u8 = MORE;
const MORE_81: u8 = MORE + 1;
const MORE_A4: u8 = MORE + 5;
const MORE_B8: u8 = MORE + 8;

const fn holds(group: &[u8], byte: u8) -> bool {
    let mut rest = group;
    while let [first, tail @ ..] = rest {
        if *first == byte {
            return true;
        }
        rest = tail;
    }
    false
}

/// The class of a byte of UTF-8.
pub(crate) const fn class(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => group_of(&LOWER_GROUPS, byte, LOWER),
        b'A' | b'E' | b'I' | b'O' | b'U' => UPPER,
        b'A'..=b'Z' => UPPER + 1,
        b'0'..=b'9' => DIGIT,
        b' ' => SPACE,
        b'\n' | b'\r' => NEWLINE,
        0..=0x1F | 0x7F => TAB,
        0x21..=0x7E => group_of(&PUNCT_GROUPS, byte, PUNCT),
        0x80 => MORE_80,
        0x81..=0x83 => MORE_81,
        0x84..=0x8F => MORE + 2,
        0x90..=0x9F => MORE + 3,
        0xA0..=0xA3 => MORE + 4,
        0xA4..=0xA7 => MORE_A4,
        0xA8..=0xAF => MORE + 6,
        0xB0..=0xB7 => MORE + 7,
        0xB8..=0xBB => MORE_B8,
        0xBC..=0xBF => MORE + 9,
        0xC0..=0xC2 => SIGNS,
        0xC3 => ACCENTS,
        0xC4..=0xC5 => FAR_ACCENTS,
        0xC6..=0xCD => VIETNAMESE,
        0xCE..=0xCF => GREEK,
        0xD0 => CYRILLIC,
        0xD1 => CYRILLIC + 1,
        0xD2..=0xD5 | 0xDC..=0xDF => RARE_TWO,
        0xD6..=0xD7 => HEBREW,
        0xD8 => ARABIC,
        0xD9..=0xDB => ARABIC + 1,
        0xE0 => INDIC,
        0xE1 => FAR_THREE,
        0xE2 => DASHES,
        0xE3 => KANA,
        0xE4..=0xE5 => HAN,
        0xE6..=0xE7 => HAN + 1,
        0xE8..=0xE9 => HAN + 2,
        0xEA..=0xED => HANGUL,
        0xEE..=0xEF => FULL_WIDTH,
        0xF0..=0xFF => EMOJI,
    }
}

const fn group_of(groups: &[&[u8]], byte: u8, first: u8) -> u8 {
    let (mut rest, mut class) = (groups, first);
    while let [group, tail @ ..] = rest {
        if holds(group, byte) {
            return class;
        }
        rest = tail;
        class += 1;
    }
    class - 1
}

/// The state before any byte.
pub(crate) const START: u8 = 0;

// White space.
const SPACES: u8 = 1; // 1, 2, 3 and more
const NEWLINES: u8 = 4; // 1, 2 and more
const INDENT: u8 = 6; // spaces after a newline: 1, 2 and more
const LAST_INDENT: u8 = INDENT + 1;
const TABS: u8 = 8;
const DIGITS: u8 = 9; // 1, 2, 3, then 1 again: tokenizers cut digits by three
const SECOND_DIGIT: u8 = DIGITS + 1;

// Capitals: the first after a space, after anything else, after a small letter; the 2nd, 3rd, 4th and further ones.
const CAPITAL: u8 = 12;
const CAPITAL_GLUED: u8 = CAPITAL + 1;
const CAPITAL_HUMP: u8 = CAPITAL + 2;
const CAPITALS: u8 = 15;

// Small letters, by how the word began, and by how many of them it has: 1, 2, … 8 and more.
const LENGTHS: u8 = 8;
const WORD_SPACED: u8 = 18;
const WORD_GLUED: u8 = WORD_SPACED + LENGTHS;
const WORD_SPACED_CAPITAL: u8 = WORD_GLUED + LENGTHS;
const WORD_GLUED_CAPITAL: u8 = WORD_SPACED_CAPITAL + LENGTHS;
const WORD_END: u8 = WORD_GLUED_CAPITAL + LENGTHS;

/// A Latin word with a letter outside ASCII in it, by the bytes since: 1 and 2, 3 and 4, …
const ACCENTED: u8 = WORD_END; // 4 states

// Punctuation: one state for each class, then longer runs.
const MARK: u8 = ACCENTED + 4; // 17 states
const MARKS: u8 = MARK + 17; // 2, 3 and more of different classes
const RULE: u8 = MARKS + 2; // the same again and again

// Letters and digits mixed: small ones and digits (hexadecimal), then with capitals too (base64).
const HEX_LETTER: u8 = RULE + 1; // 1, 2, 3 in a row
const HEX_DIGIT: u8 = HEX_LETTER + 3; // 1, 2, 3 in a row
const MIX_LOWER: u8 = HEX_DIGIT + 3; // 1, 2, 3, 4 in a row
const MIX_UPPER: u8 = MIX_LOWER + 4; // 1, 2, 3 in a row
const MIX_DIGIT: u8 = MIX_UPPER + 3; // 1, 2 in a row
const MIX_MARK: u8 = MIX_DIGIT + 2;

// Scripts of two bytes a letter: by letters in the word, 1, 2, 3, 4 and more, each half read and read.
const CYRILLIC_WORD: u8 = MIX_MARK + 1; // 8 states each
const GREEK_WORD: u8 = CYRILLIC_WORD + 8;
const HEBREW_WORD: u8 = GREEK_WORD + 8;
const ARABIC_WORD: u8 = HEBREW_WORD + 8;

// Scripts of three bytes a letter: `…_1` and `…_2` are letters of which one and two bytes are read; the state after
// `…_2` is the whole letter.
const INDIC_1: u8 = ARABIC_WORD + 8;
const DEVANAGARI_2: u8 = INDIC_1 + 1;
const THAI_2: u8 = INDIC_1 + 3;
const RARE_2: u8 = INDIC_1 + 5;
const RARE_LETTER: u8 = INDIC_1 + 6;
const FAR_1: u8 = INDIC_1 + 7;
const FAR_2: u8 = INDIC_1 + 8;
const DASHES_1: u8 = INDIC_1 + 9;
const DASHES_2: u8 = INDIC_1 + 10;
const SIGN_1: u8 = INDIC_1 + 11;
const SIGN: u8 = INDIC_1 + 12;
const KANA_1: u8 = SIGN + 1;
const KANA_2: u8 = SIGN + 2;
const KANA_LETTER: u8 = SIGN + 3; // the first
const KANA_AGAIN_1: u8 = SIGN + 4;
const KANA_AGAIN_2: u8 = SIGN + 5;
const KANA_AGAIN: u8 = SIGN + 6; // further ones
const CJK_MARK_2: u8 = SIGN + 7; // and 8, whole
const FULL_WIDTH_1: u8 = SIGN + 9;
const HAN_1: u8 = SIGN + 10; // the first: one byte, two, all; the second; further ones
const HANGUL_1: u8 = HAN_1 + 9; // likewise, two groups
const EMOJI_1: u8 = HANGUL_1 + 6; // 1, 2, 3 bytes, whole
const EMOJI_3: u8 = EMOJI_1 + 2;
const RARE_TWO_1: u8 = EMOJI_1 + 4;

/// How many letters there are for the pairs, see [`letter`].
pub(crate) const LETTERS: usize = 64;

/// Which letter a byte is, for the pairs: 1 to 26 whatever its case, 27 to 31 the first byte of a character outside
/// ASCII, 32 to 63 a further byte of one, 0 for all else.
///
/// Pairs tell apart what classes cannot: a common word from a rare one, and written Chinese of the mainland from that
/// of Taiwan, whose characters stand in other places of the same blocks.
pub(crate) const fn letter(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' => byte & 0x1F,
        0x80..=0xBF => 32 + (byte & 0x3F) / 2,
        0xC0..=0xDF => 27,
        0xE7 => 30,
        0xE8 => 31,
        0xE4..=0xE6 | 0xE9 => 29,
        0xE0..=0xFF => 28,
        _ => 0,
    }
}

/// How many states there are.
pub(crate) const STATES: usize = RARE_TWO_1 as usize + 1;

/// The state after a byte of `class` in `state`.
pub(crate) const fn next(state: u8, class: u8) -> u8 {
    match class {
        LOWER..UPPER => after_lower(state),
        UPPER..DIGIT => after_upper(state),
        DIGIT => after_digit(state),
        SPACE => match state {
            SPACES..NEWLINES => longer(state, SPACES, 3),
            NEWLINES..INDENT => INDENT,
            INDENT..TABS => INDENT + 1,
            _ => SPACES,
        },
        NEWLINE => match state {
            NEWLINES..INDENT => NEWLINES + 1,
            _ => NEWLINES,
        },
        TAB => TABS,
        PUNCT..PUNCT_END => after_mark(state, class),
        SIGNS => SIGN_1,
        ACCENTS..GREEK => after_accent(state),
        GREEK => run(state, GREEK_WORD, 8, 2),
        CYRILLIC..RARE_TWO => run(state, CYRILLIC_WORD, 8, 2),
        RARE_TWO => RARE_TWO_1,
        HEBREW => run(state, HEBREW_WORD, 8, 2),
        ARABIC..INDIC => run(state, ARABIC_WORD, 8, 2),
        INDIC => INDIC_1,
        FAR_THREE => FAR_1,
        DASHES => DASHES_1,
        KANA => match state {
            KANA_LETTER | KANA_AGAIN => KANA_AGAIN_1,
            _ => KANA_1,
        },
        HAN..HANGUL => run(state, HAN_1, 9, 3),
        HANGUL => run(state, HANGUL_1, 6, 3),
        FULL_WIDTH => FULL_WIDTH_1,
        EMOJI => EMOJI_1,
        MORE..END => after_more(state, class),
        _ => START,
    }
}

/// The state of the first byte of a letter, in a script of `bytes` a letter whose `states` begin at `first`.
const fn run(state: u8, first: u8, states: u8, bytes: u8) -> u8 {
    if state < first || state >= first + states {
        return first;
    }
    let after = state + 1;
    if after < first + states { after } else { first + states - bytes }
}

const fn after_lower(state: u8) -> u8 {
    match state {
        SPACES..NEWLINES | INDENT..=LAST_INDENT => WORD_SPACED,
        DIGITS..CAPITAL => HEX_LETTER,
        CAPITAL => WORD_SPACED_CAPITAL,
        CAPITAL_GLUED..CAPITALS => WORD_GLUED_CAPITAL,
        CAPITALS..WORD_SPACED => WORD_GLUED_CAPITAL + 1,
        WORD_SPACED..WORD_END => {
            if (state - WORD_SPACED) % LENGTHS == LENGTHS - 1 {
                state
            } else {
                state + 1
            }
        }
        ACCENTED..MARK => accented_longer(state),
        HEX_LETTER..HEX_DIGIT => longer(state, HEX_LETTER, 3),
        HEX_DIGIT..MIX_LOWER => HEX_LETTER,
        MIX_LOWER..MIX_UPPER => longer(state, MIX_LOWER, 4),
        MIX_UPPER..CYRILLIC_WORD => MIX_LOWER,
        _ => WORD_GLUED,
    }
}

const fn after_upper(state: u8) -> u8 {
    match state {
        SPACES..NEWLINES | INDENT..=LAST_INDENT => CAPITAL,
        CAPITAL..CAPITALS => CAPITALS,
        CAPITALS..WORD_SPACED => longer(state, CAPITALS, 3),
        // A hump after one or two letters is rather noise than a camel.
        WORD_SPACED..WORD_END => {
            if (state - WORD_SPACED) % LENGTHS < 2 {
                MIX_UPPER
            } else {
                CAPITAL_HUMP
            }
        }
        DIGITS..CAPITAL | HEX_LETTER..MIX_UPPER => MIX_UPPER,
        MIX_UPPER..MIX_DIGIT => longer(state, MIX_UPPER, 3),
        MIX_DIGIT..CYRILLIC_WORD => MIX_UPPER,
        _ => CAPITAL_GLUED,
    }
}

const fn after_digit(state: u8) -> u8 {
    match state {
        DIGITS..=SECOND_DIGIT => state + 1,
        CAPITAL..WORD_SPACED => MIX_DIGIT,
        WORD_SPACED..WORD_END | HEX_LETTER..HEX_DIGIT => HEX_DIGIT,
        HEX_DIGIT..MIX_LOWER => {
            if state + 1 < MIX_LOWER {
                state + 1
            } else {
                HEX_DIGIT
            }
        }
        MIX_LOWER..MIX_DIGIT | MIX_MARK => MIX_DIGIT,
        MIX_DIGIT..MIX_MARK => longer(state, MIX_DIGIT, 2),
        _ => DIGITS,
    }
}

const fn after_mark(state: u8, class: u8) -> u8 {
    match state {
        MIX_LOWER..CYRILLIC_WORD if matches!(class, SLASH | DASH | LOW_LINE | EQUALS) => MIX_MARK,
        MARK..MARKS => {
            if state - MARK == class - PUNCT {
                RULE
            } else {
                MARKS
            }
        }
        MARKS..RULE => MARKS + 1,
        RULE => RULE,
        _ => MARK + (class - PUNCT),
    }
}

const fn after_accent(state: u8) -> u8 {
    match state {
        ACCENTED..MARK => accented_longer(state),
        WORD_SPACED..WORD_END => ACCENTED + 1,
        _ => ACCENTED,
    }
}

const fn accented_longer(state: u8) -> u8 {
    longer(state, ACCENTED, 4)
}

const fn after_more(state: u8, class: u8) -> u8 {
    match state {
        ACCENTED..MARK => state,
        SIGN_1 => SIGN,
        CYRILLIC_WORD..INDIC_1 => state + 1,
        INDIC_1 => match class {
            MORE_A4 => DEVANAGARI_2,
            MORE_B8 => THAI_2,
            _ => RARE_2,
        },
        FAR_1 => {
            if class == MORE_B8 {
                ACCENTED
            } else {
                FAR_2
            }
        }
        KANA_1 | KANA_AGAIN_1 if class == MORE_80 => CJK_MARK_2,
        FULL_WIDTH_1 => CJK_MARK_2,
        RARE_TWO_1 | FAR_2 => RARE_LETTER,
        DASHES_2 => SIGN,
        DEVANAGARI_2 | THAI_2 | RARE_2 | DASHES_1 | KANA_1 | KANA_2 | KANA_AGAIN_1 | KANA_AGAIN_2 | CJK_MARK_2 => {
            state + 1
        }
        HAN_1..=EMOJI_3 => state + 1,
        _ => state,
    }
}

/// The next of `states` from `first`, or the last of them.
const fn longer(state: u8, first: u8, states: u8) -> u8 {
    if state + 1 < first + states { state + 1 } else { state }
}
