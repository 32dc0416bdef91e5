// Forges the identity headers in three spellings, and tells what the helpdesk got to see.
"use strict";

const forge = document.querySelector(".forge");
const output = document.querySelector("output");

forge.addEventListener("submit", async (event) => {
  event.preventDefault();
  const user = forge.elements.user.value;
  try {
    const answer = await fetch("/whoami", {
      headers: { "X-User-Id": user, X_User_Id: user, "X-Roles": "agent", Accept: "application/json" },
    });
    const told = await answer.json();
    if (!answer.ok) {
      output.textContent = `Vestibule answered ${answer.status}: ${told.detail ?? told.title}`;
      return;
    }
    const headers = told.received
      .filter((header) => /user.?id|roles/i.test(header.name))
      .map((header) => `${header.name}: ${header.value}`);
    output.textContent = `You sent X-User-Id: ${user}. The helpdesk received ${headers.join(", ") || "none"}.`;
  } catch (failure) {
    output.textContent = `Your browser would not send that: ${failure.message}`;
  }
});
