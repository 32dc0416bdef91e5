//! The invented people of the demo, and their shops.

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
    pub shop: Shop,
}

/// What Nordwind shows of a shop.
#[derive(Serialize)]
pub struct Shop {
    pub name: &'static str,
    /// Orders, turnover, to be sent, returns.
    pub today: [&'static str; 4],
    /// Turnover of the last seven days, in per cent of the best.
    pub week: [u8; 7],
    pub orders: [Order; 4],
}

/// An order.
#[derive(Serialize)]
pub struct Order {
    number: u32,
    customer: &'static str,
    what: &'static str,
    state: &'static str,
    amount: &'static str,
}

const fn order(
    number: u32,
    customer: &'static str,
    what: &'static str,
    state: &'static str,
    amount: &'static str,
) -> Order {
    Order { number, customer, what, state, amount }
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
        about: "runs Fjord Kaffe, a coffee roastery",
        shop: Shop {
            name: "Fjord Kaffe",
            today: ["48", "€3,912", "17", "2"],
            week: [52, 61, 44, 70, 83, 100, 78],
            orders: [
                order(20418, "Ingrid Halvorsen", "Kenya Gichathaini, 1 kg", "To be sent", "€64.00"),
                order(20417, "Büro Peters", "Office box, monthly", "To be sent", "€212.50"),
                order(20416, "Noor de Vries", "House blend, 500 g", "Sent", "€38.90"),
                order(20414, "Café Adler", "Espresso, 5 kg", "Returned", "€87.20"),
            ],
        },
    },
    Person {
        id: "tom",
        given: "Tom",
        name: "Tom Okafor",
        email: "tom@okafor-bikes.example",
        role: "customer",
        plan: "starter",
        about: "runs Okafor Bikes, two workshops",
        shop: Shop {
            name: "Okafor Bikes",
            today: ["9", "€2,480", "4", "0"],
            week: [35, 48, 100, 62, 40, 88, 57],
            orders: [
                order(7733, "Lena Fuchs", "City bike, size M", "To be sent", "€890.00"),
                order(7732, "Samuel Adeyemi", "Brake pads, 4 pairs", "Sent", "€43.60"),
                order(7731, "Radhaus Nord", "Chains, 20", "Sent", "€318.00"),
                order(7729, "Mila Novak", "Child seat", "Sent", "€79.00"),
            ],
        },
    },
    Person {
        id: "ada",
        given: "Ada",
        name: "Ada Brandt",
        email: "ada@nordwind.example",
        role: "agent",
        plan: "staff",
        about: "works in support and answers both",
        shop: Shop {
            name: "Nordwind Support",
            today: ["57", "€6,392", "21", "2"],
            week: [47, 58, 66, 68, 69, 100, 72],
            orders: [
                order(20418, "Fjord Kaffe", "Order of Ingrid Halvorsen", "To be sent", "€64.00"),
                order(7733, "Okafor Bikes", "Order of Lena Fuchs", "To be sent", "€890.00"),
                order(20416, "Fjord Kaffe", "Order of Noor de Vries", "Sent", "€38.90"),
                order(7732, "Okafor Bikes", "Order of Samuel Adeyemi", "Sent", "€43.60"),
            ],
        },
    },
];

/// The person with an id.
pub fn find(id: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.id == id)
}
