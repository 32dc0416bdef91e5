//! The invented people of the demo.

use serde::Serialize;

/// Somebody who uses Nordwind.
#[derive(Serialize)]
pub struct Person {
    pub id: &'static str,
    /// What friends say.
    pub given: &'static str,
    pub name: &'static str,
    pub email: &'static str,
    pub role: &'static str,
    pub plan: &'static str,
    pub about: &'static str,
}

/// Two who ask and one who answers. One name is beyond ASCII, to show how headers carry that.
pub static PEOPLE: [Person; 3] = [
    Person {
        id: "maya",
        given: "Maya",
        name: "Maya Sørensen",
        email: "maya@fjordkaffe.example",
        role: "customer",
        plan: "pro",
        about: "sells coffee, on the pro plan",
    },
    Person {
        id: "tom",
        given: "Tom",
        name: "Tom Okafor",
        email: "tom@okafor-bikes.example",
        role: "customer",
        plan: "starter",
        about: "sells bicycles, on the starter plan",
    },
    Person {
        id: "ada",
        given: "Ada",
        name: "Ada Brandt",
        email: "ada@nordwind.example",
        role: "agent",
        plan: "staff",
        about: "works in support",
    },
];

/// The person with an id.
pub fn find(id: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.id == id)
}
