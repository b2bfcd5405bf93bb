//! What a program attaches to a call: every request about the call carries it.

use crate::command::CommandError;

/// Most bytes of it.
const MOST: usize = 16 * 1024;

/// The same data, if a call may carry it.
///
/// # Errors
/// [`CommandError::Invalid`]: it is too long.
pub(super) fn attached(data: String) -> Result<String, CommandError> {
    if data.len() > MOST {
        let text = format!("the data has {} bytes; attach at most {MOST}", data.len());
        return Err(CommandError::Invalid(text));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_kibibytes_are_carried_and_not_a_byte_more() {
        assert!(attached("x".repeat(16 * 1024)).is_ok());
        let refused = attached("x".repeat(16 * 1024 + 1)).unwrap_err().to_string();
        assert!(refused.contains("16385 bytes") && refused.contains("at most 16384"), "{refused}");
    }
}
