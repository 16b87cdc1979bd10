// Figures as a person reads them.

export function bytes(count) {
  if (count < 1024) return `${Math.round(count)} B`;
  let unit = -1;
  do {
    count /= 1024;
    unit += 1;
  } while (count >= 1000 && unit < 3);
  return `${count < 99.95 ? count.toFixed(1) : Math.round(count)} ${["KiB", "MiB", "GiB", "TiB"][unit]}`;
}

export function duration(seconds) {
  if (seconds < 0.1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Hours, minutes and seconds of the browser's own place, as the tables have them. */
export function clock(time) {
  return new Date(time * 1000).toLocaleTimeString("en-GB");
}

export const perSecond = (rate) => (rate ? `${bytes(rate)}/s` : "idle");
