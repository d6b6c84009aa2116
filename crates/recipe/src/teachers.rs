use super::TeacherRecipe;

impl TeacherRecipe {
    /// Returns every teacher as if it were the only one, the first one first.
    pub fn all(&self) -> Vec<Self> {
        let first = Self {
            others: Vec::new(),
            ..self.clone()
        };
        let others = self.others.iter().map(|other| Self {
            model: other.model.clone(),
            weights: other.weights.clone(),
            training_mode: other.training_mode.unwrap_or(self.training_mode),
            training: other.training.as_ref().unwrap_or(&self.training).clone(),
            others: Vec::new(),
        });
        [first].into_iter().chain(others).collect()
    }

    /// Returns the place in the recipe of the teacher at an index, counted from 0.
    pub fn place(index: usize) -> String {
        match index {
            0 => "teacher".into(),
            index => format!("teacher.others.{}", index - 1),
        }
    }
}
