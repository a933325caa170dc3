/** Svelte compiles TypeScript in components by itself; nothing else is needed. */
export default {};
