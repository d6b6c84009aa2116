use super::Loss;
use crate::input::AnyNetwork;
use anyhow::{Result, bail};

/// The student as the losses need it, if one of them does not take it as it is.
pub fn student_of(losses: &[Loss]) -> Result<Option<AnyNetwork>> {
    let mut changing = losses.iter().filter(|loss| loss.student.is_some());
    let first = changing.next();
    if let (Some(first), Some(second)) = (first, changing.next()) {
        bail!(
            "the losses `{}` and `{}` each want a student of their own kind: leave one out",
            first.name,
            second.name
        );
    }
    Ok(first.and_then(|loss| loss.student.clone()))
}
