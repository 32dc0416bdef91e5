// The support widget: each way into the portal starts with a fresh token from the app's own backend.
"use strict";

const ways = document.querySelector(".ways");
const error = document.querySelector(".error");

async function freshToken() {
  const answer = await fetch("/support-token", { method: "POST" });
  if (!answer.ok) throw new Error("Please sign in again.");
  return (await answer.json()).token;
}

async function attempt(what) {
  error.hidden = true;
  try {
    await what(await freshToken());
  } catch (failure) {
    error.textContent = failure.message;
    error.hidden = false;
  }
}

function claims(token) {
  const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

ways?.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt((token) => {
    ways.elements.token.value = token;
    ways.submit();
    ways.elements.token.value = "";
  });
});

for (const link of document.querySelectorAll("[data-way]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    attempt((token) => {
      const url = new URL(link.dataset.way, ways.action);
      url.searchParams.set("token", token);
      if (link.dataset.way === "/_auth/exchange") url.searchParams.set("return_to", ways.elements.return_to.value);
      location.assign(url);
    });
  });
}

ways?.querySelector("details").addEventListener("toggle", (event) => {
  if (!event.target.open) return;
  attempt((token) => {
    ways.querySelector("pre").textContent = JSON.stringify(claims(token), null, 1);
  });
});
