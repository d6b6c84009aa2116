/// Which of the networks of a repetition.
#[derive(Clone, Copy)]
pub enum Role {
    /// One of the teachers, counted from 0.
    Teacher(usize),
    Baseline,
    /// One of the generations before the last, counted from 1.
    Generation(usize),
    /// The student before it knows labels.
    Pretrained,
    Distilled,
}

impl Role {
    /// Its name, and that of its folder.
    pub fn name(self) -> String {
        match self {
            Self::Teacher(0) => "teacher".into(),
            Self::Teacher(index) => format!("teacher-{}", index + 1),
            Self::Baseline => "baseline".into(),
            Self::Generation(number) => format!("generation-{number}"),
            Self::Pretrained => "pretrained".into(),
            Self::Distilled => "distilled".into(),
        }
    }

    /// Returns its name in a sentence.
    pub fn title(self) -> String {
        match self {
            Self::Teacher(0) => "the teacher".into(),
            Self::Teacher(index) => format!("teacher {}", index + 1),
            Self::Baseline => "the student (baseline)".into(),
            Self::Generation(number) => format!("generation {number}"),
            Self::Pretrained => "the pretrained student".into(),
            Self::Distilled => "the distilled student".into(),
        }
    }
}
