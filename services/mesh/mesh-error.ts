// What the mesh refuses or fails at, in one line for the person at the terminal; printed without a stack.
export class MeshError extends Error {
  override name = "MeshError";
}
