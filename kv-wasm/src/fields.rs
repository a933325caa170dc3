//! Reads the plain objects that JavaScript hands in, field by field.
//!
//! A derived deserialiser would do the same, at a sixth of the size of all code that the page loads:
//! every action would be a reader of its own. Here each kind of field has one. What is missing or of
//! another kind is refused in words that name the field.

use js_sys::{Array, Reflect};
use kv_core::sim::ActionRefused;
use wasm_bindgen::{JsCast, JsValue};

/// An object with named fields.
pub(crate) struct Fields<'a>(&'a JsValue);

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub(crate) fn of(object: &'a JsValue) -> Self {
        Self(object)
    }

    /// A whole number within the bounds of its type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, ActionRefused> {
        let whole = self.whole(name)?;
        T::try_from(whole).map_err(|_| not(name, "a number in its range"))
    }

    /// The same, or zero where it is absent.
    pub(crate) fn number_or_zero<T: TryFrom<i64> + Default>(
        &self,
        name: &str,
    ) -> Result<T, ActionRefused> {
        if self.get(name)?.is_undefined() { Ok(T::default()) } else { self.number(name) }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<String, ActionRefused> {
        self.get(name)?.as_string().ok_or_else(|| not(name, "a text"))
    }

    /// Another object, as its reader takes it.
    pub(crate) fn object<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Fields<'_>) -> Result<T, ActionRefused>,
    ) -> Result<T, ActionRefused> {
        let object = self.get(name)?;
        if !object.is_object() {
            return Err(not(name, "an object"));
        }
        read(&Fields(&object))
    }

    /// The elements of a list.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<JsValue>, ActionRefused> {
        let list = self.get(name)?.dyn_into::<Array>().map_err(|_| not(name, "a list"))?;
        Ok(list.iter().collect())
    }

    fn whole(&self, name: &str) -> Result<i64, ActionRefused> {
        let number = self.get(name)?;
        let number = number.as_f64().filter(|number| number.abs() <= WHOLE_MAX);
        let whole =
            number.map(|number| number as i64).filter(|whole| number == Some(*whole as f64));
        whole.ok_or_else(|| not(name, "a whole number"))
    }

    fn get(&self, name: &str) -> Result<JsValue, ActionRefused> {
        Reflect::get(self.0, &JsValue::from_str(name)).map_err(|_| not(name, "in an object"))
    }
}

/// The greatest number that JavaScript tells from its neighbours.
const WHOLE_MAX: f64 = 9_007_199_254_740_991.0;

fn not(name: &str, wanted: &str) -> ActionRefused {
    ActionRefused(["the field ", name, " is not ", wanted].concat())
}
