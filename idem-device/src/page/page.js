// Asks for the counters and the plot anew every few seconds. Everything else works without script.
'use strict';

const live = document.getElementById('live');
const said = document.getElementById('said');
const EVERY = 3000;
// A screen reader is told a change, but not every few seconds.
const SAY_EVERY = 15000;

function counts() {
  return [...live.querySelectorAll('[data-count]')].map((count) => `${count.textContent} ${count.dataset.count}`).join(', ');
}

async function look() {
  if (document.hidden) return;
  try {
    const answer = await fetch(live.dataset.from, { cache: 'no-store' });
    if (!answer.ok) throw new Error(answer.status);
    // It is the device's own HTML, in which every text of a caller's is escaped.
    live.innerHTML = await answer.text();
    live.classList.remove('stale');
  } catch {
    live.classList.add('stale');
  }
}

if (live && said) {
  let last = counts();
  setInterval(look, EVERY);
  setInterval(() => {
    const now = counts();
    if (now !== last) said.textContent = now;
    last = now;
  }, SAY_EVERY);
  document.addEventListener('visibilitychange', look);
}
