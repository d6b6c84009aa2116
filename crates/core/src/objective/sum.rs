use crate::{Context, Objective, Requirements, Terms};

macro_rules! sum_of_objectives {
    ($($name:ident $index:tt),*) => {
        /// The sum of several objectives. Each term keeps its name and its weight.
        impl<S, T, $($name),*> Objective<S, T> for ($($name,)*)
        where
            $($name: Objective<S, T>,)*
        {
            fn requirements(&self) -> Requirements {
                Requirements::default()$(.union(self.$index.requirements()))*
            }

            fn forward(&self, context: &Context<'_, S, T>) -> Terms {
                Terms::default()$(.and(self.$index.forward(context)))*
            }
        }
    };
}

sum_of_objectives!(A 0, B 1);
sum_of_objectives!(A 0, B 1, C 2);
sum_of_objectives!(A 0, B 1, C 2, D 3);

/// The sum of any number of objectives of one type, such as [`DynObjective`](crate::DynObjective).
impl<S, T, O> Objective<S, T> for Vec<O>
where
    O: Objective<S, T>,
{
    fn requirements(&self) -> Requirements {
        self.iter()
            .map(Objective::requirements)
            .fold(Requirements::default(), Requirements::union)
    }

    fn forward(&self, context: &Context<'_, S, T>) -> Terms {
        self.iter()
            .map(|objective| objective.forward(context))
            .fold(Terms::default(), Terms::and)
    }
}
