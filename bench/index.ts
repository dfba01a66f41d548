// What `npm run bench` runs, one after the other: each file also runs on its own.
await import('./http.ts')
