/// Role of a network in a repetition.
#[derive(Clone, Copy)]
pub enum Role {
    /// Teacher at this index, counted from 0.
    Teacher(usize),
    Baseline,
    /// Network between teacher and student, counted from 1.
    Assistant(usize),
    /// Generation before the last one, counted from 1.
    Generation(usize),
    /// Student after its training without labels.
    Pretrained,
    Distilled,
}

impl Role {
    /// Returns its name, which is also that of its folder.
    pub fn name(self) -> String {
        match self {
            Self::Teacher(0) => "teacher".into(),
            Self::Teacher(index) => format!("teacher-{}", index + 1),
            Self::Baseline => "baseline".into(),
            Self::Assistant(number) => format!("assistant-{number}"),
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
            Self::Assistant(number) => format!("assistant {number}"),
            Self::Generation(number) => format!("generation {number}"),
            Self::Pretrained => "the pretrained student".into(),
            Self::Distilled => "the distilled student".into(),
        }
    }
}
