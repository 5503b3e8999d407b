"""For those who extend outgrow and test what they wrote: disks that misbehave, tensors of every kind.

Import the file that you need: `from outgrow.testing.<noun> import ...`; nothing is loaded by importing the
package.
"""

__all__: list[str] = []
