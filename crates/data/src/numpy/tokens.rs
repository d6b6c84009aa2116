use super::array::NumpyArray;

/// The reason why an array of integers holds no sequences of tokens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// An integer is neither in the vocabulary nor the padding.
    #[error(
        "sample {sample}, counted from 0, holds the token {token}, but tokens are from 0 to {last}"
    )]
    Outside {
        /// Position of the sample.
        sample: usize,
        /// Integer, in words if it exceeds 64 bits with a sign.
        token: String,
        /// Largest token of the vocabulary.
        last: usize,
    },
    /// A sample has no tokens.
    #[error("sample {sample}, counted from 0, holds padding only")]
    PaddingOnly {
        /// Position of the sample.
        sample: usize,
    },
}

impl NumpyArray {
    /// Checks that every sample of an array of integers holds a token, and that all of them are in a
    /// vocabulary of this size. `padding` stands where there is no token.
    ///
    /// # Errors
    ///
    /// Returns the first fault.
    pub fn check_tokens(&self, vocabulary: usize, padding: Option<i64>) -> Result<(), TokenFault> {
        for sample in 0..self.samples() {
            let mut tokens = 0;
            for id in self.integers(sample) {
                match id {
                    Some(id) if Some(id) == padding => {}
                    Some(id) if (0..vocabulary as i64).contains(&id) => tokens += 1,
                    id => {
                        let beyond = || "beyond 9223372036854775807".into();
                        return Err(TokenFault::Outside {
                            sample,
                            token: id.map_or_else(beyond, |id| id.to_string()),
                            last: vocabulary.saturating_sub(1),
                        });
                    }
                }
            }
            if tokens == 0 {
                return Err(TokenFault::PaddingOnly { sample });
            }
        }
        Ok(())
    }

    /// Returns the tokens of a sample of an array of integers, each with whether it is one and not
    /// padding.
    ///
    /// # Panics
    ///
    /// Panics if there is no such sample.
    pub fn tokens(
        &self,
        sample: usize,
        vocabulary: usize,
        padding: Option<i64>,
    ) -> impl Iterator<Item = (i64, bool)> + '_ {
        self.integers(sample).flatten().map(move |id| {
            // Padding outside the vocabulary has no embedding.
            let is_inside = (0..vocabulary as i64).contains(&id);
            (if is_inside { id } else { 0 }, Some(id) != padding)
        })
    }
}
