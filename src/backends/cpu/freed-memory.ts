// Has the C library keep the memory of results that were collected, for the results to come. Invariant:
// changes no value and holds no memory by itself; where the library is another, it does nothing.

// glibc gives what is free at the end of its heap back to the system beyond twice the size of the largest
// block so far that it had mapped by itself and freed, up to this one. Arrays of 4 MB, of which a collection
// frees many at once, then always come from fresh pages, whose first touch took ten times as long as the copy
// (1.5 ms against 0.14). After a block of the largest size, 64 MB stay.
const LARGEST_BLOCK = 32 * 2 ** 20 - 65536;

/** Smaller arrays never have pages of their own. */
const SMALL_BYTES = 2 ** 17;

let done = false;

/** To be called with the size of each result that is copied out. */
export function keepFreedMemory(bytes: number): void {
  if (done || bytes < SMALL_BYTES) return;
  done = true;
  if (typeof process === 'undefined' || process.platform !== 'linux') return;
  // A message that nobody is going to get is freed with its port, what is only dropped at some collection.
  // The block is never written, so it takes no pages.
  const { port1, port2 } = new MessageChannel();
  const block = new ArrayBuffer(LARGEST_BLOCK);
  port1.postMessage(null, [block]);
  port1.close();
  port2.close();
}
