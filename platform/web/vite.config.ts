import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const VIEWER_BYTES = 120_000;

/** Fails the build when what a browser must load before the first slice grows past its budget. */
function viewerBudget(): Plugin {
  return {
    name: "viewer-budget",
    generateBundle(_, bundle) {
      const weigh = (file: string, seen: Set<string>): number => {
        const part = bundle[file];
        if (!part || seen.has(file)) return 0;
        seen.add(file);
        const own = gzipSync(part.type === "chunk" ? part.code : part.source).length;
        const imports = part.type === "chunk" ? part.imports : [];
        const styles = part.type === "chunk" ? [...(part.viteMetadata?.importedCss ?? [])] : [];
        return [...imports, ...styles].reduce((sum, next) => sum + weigh(next, seen), own);
      };
      const entry = Object.values(bundle).find((part) => part.type === "chunk" && part.name === "viewer");
      const total = entry ? weigh(entry.fileName, new Set()) : Number.NaN;
      if (!(total <= VIEWER_BYTES))
        this.error(`The viewer's first load is ${total} bytes; ${VIEWER_BYTES} are the limit.`);
      this.info(`viewer's first load: ${total} bytes compressed`);
    },
  };
}

export default defineConfig({
  base: "/static/",
  plugins: [viewerBudget()],
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
