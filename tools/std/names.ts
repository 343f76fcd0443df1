// The std modules that the tests use: what must load for JSR to be of use.
import "@std/assert";
import "@std/async";
import "@std/testing/time";
