//! New keys: long, random, and shown to their owner once.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::Secret;

/// 43 letters of base 62 hold 256 bits.
const LETTERS: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system has no randomness to give")]
pub struct NoRandomness;

impl Secret {
    /// A new secret: the prefix, and 256 random bits in base 62.
    ///
    /// # Errors
    /// When the system's source of randomness fails.
    pub fn random(prefix: &str) -> Result<Self, NoRandomness> {
        let random = SystemRandom::new();
        let mut text = String::with_capacity(prefix.len() + LETTERS);
        text.push_str(prefix);
        while text.len() < prefix.len() + LETTERS {
            let mut bytes = [0; 64];
            random.fill(&mut bytes).map_err(|_| NoRandomness)?;
            // The largest multiple of 62 below 256 is 248: bytes above it would favour some letters.
            let letters =
                bytes.iter().filter(|byte| **byte < 248).filter_map(|byte| ALPHABET.get(usize::from(byte % 62)));
            text.extend(letters.take(prefix.len() + LETTERS - text.len()).map(|letter| char::from(*letter)));
        }
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_new_key_is_long_and_never_the_same() {
        let (one, two) = (Secret::random("tg-").unwrap(), Secret::random("tg-").unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 46);
        assert!(one.expose().strip_prefix("tg-").unwrap().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
