/* A plugin for QEMU's user mode that counts the guest's instructions and tells the count at marks.
 *
 * QEMU translates straight runs of instructions, blocks, once, and runs the translation as often as the program comes
 * by. So an instruction is never counted by itself: when a block is translated, its length is noted, and each time it
 * is run, that is added. Nothing is measured and nothing is sampled: the same program on the same input gives the same
 * number. (A block that a fault leaves in the middle counts as a whole; inference has none.)
 *
 * The program marks a place by a system call that no kernel has, number 5000, with a number of its own to know the
 * mark by. QEMU shows it to this plugin first, then refuses it with ENOSYS as the kernel would.
 *
 * Debian has no package with QEMU's header for plugins, so the few declarations stand here: version 1 of the
 * interface, of QEMU 6 to 8. Each thread has a place of its own to add to, so none needs a lock, and a mark tells of the
 * thread that makes it: onnxruntime has another one, which waits, and for how long depends on the machine below.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define MARK 5000
#define THREADS 256
#define CACHE_LINE 64

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_t)(unsigned int thread, void *data);
typedef void (*called_t)(qemu_plugin_id_t, unsigned int thread, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t, uint64_t, uint64_t, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, called_t);

PUBLIC int qemu_plugin_version = 1;

static struct {
  uint64_t instructions;
  char apart[CACHE_LINE - sizeof(uint64_t)];
} counts[THREADS];
static FILE *out;

static void executed(unsigned int thread, void *length) {
  counts[thread % THREADS].instructions += (uintptr_t)length;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  void *length = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS, length);
}

static void called(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t mark, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != MARK) return;
  fprintf(out, "%" PRIu64 " %" PRIu64 "\n", mark, counts[thread % THREADS].instructions);
  fflush(out);
}

/* -plugin icount.so,out=FILE */
PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
  if (!out) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  return 0;
}
