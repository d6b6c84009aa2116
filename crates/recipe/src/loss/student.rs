use super::Loss;
use crate::input::AnyNetwork;
use anyhow::{Result, bail};

/// Returns the wrapped student, if one of the losses needs one.
pub fn student_of(losses: &[Loss]) -> Result<Option<AnyNetwork>> {
    let mut changing = losses.iter().filter(|loss| loss.student.is_some());
    let first = changing.next();
    if let (Some(first), Some(second)) = (first, changing.next()) {
        bail!(
            "the losses `{}` and `{}` both change the student, but only one loss can: leave one out",
            first.name,
            second.name
        );
    }
    Ok(first.and_then(|loss| loss.student.clone()))
}
