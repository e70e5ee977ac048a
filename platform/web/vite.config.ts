import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/static/",
  build: {
    outDir: "dist",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    modulePreload: { polyfill: false },
    // Inlined assets would be data: URLs, which the pages' content security policy refuses.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: ["src/ui/worklist.ts", "src/ui/viewer.ts", "src/ui/site.ts"],
    },
  },
  worker: { format: "es" },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
