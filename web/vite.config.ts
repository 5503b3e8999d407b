import { defineConfig } from "vite";

// Names without hashes: the server sends an ETag, and the diff of a build shows what changed.
export default defineConfig({
  base: "/",
  build: {
    outDir: "../src/outgrow/compare/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 400,
    rollupOptions: {
      output: {
        entryFileNames: "assets/page.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/page[extname]",
      },
    },
  },
});
