/** Until the server has answered for the first time. */
export function Starting() {
  return (
    <main class="screen" id="main" tabIndex={-1}>
      <h1 class="unseen">outgrow compare</h1>
      <p class="starting" role="status">
        Opening…
      </p>
    </main>
  );
}
