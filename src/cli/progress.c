/* progress: the line and its figures. */
#include "cli/progress.h"

#include "base/text.h"
#include "cli/cli.h"
#include "env/host.h"

#define DRAW_INTERVAL_NS (NS_PER_S / 10)
#define BAR_WIDTH        24
#define LINE_SIZE        256

void progress_init(struct progress *p, const char *what)
{
    *p = (struct progress){.what = what, .started_ns = host_mono_ns()};
    p->is_shown = host_is_terminal(fileno(stderr));
}

static void add_bar(struct text *t, double share)
{
    int full = (int)(share * BAR_WIDTH);
    text_add(t, "[");
    for (int i = 0; i < BAR_WIDTH; i++) {
        text_add(t, "%s", i < full ? "#" : ".");
    }
    text_add(t, "] %3.0f%%  ", share * 100);
}

static void add_time_left(struct text *t, double seconds)
{
    if (seconds >= 3600) {
        text_add(t, "  %.0f h %.0f min left", seconds / 3600, (double)((int)(seconds / 60) % 60));
    } else if (seconds >= 60) {
        text_add(t, "  %d min %d s left", (int)(seconds / 60), (int)seconds % 60);
    } else {
        text_add(t, "  %.0f s left", seconds);
    }
}

void progress_draw(struct progress *p, uint64_t done, double share, const char *note)
{
    uint64_t now = host_mono_ns();
    if (!p->is_shown || now - p->drawn_ns < DRAW_INTERVAL_NS) return;
    p->drawn_ns = now;
    double seconds = (double)(now - p->started_ns) / (double)NS_PER_S;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    char line[LINE_SIZE];
    char count[CLI_COUNT_SIZE];
    char speed[CLI_COUNT_SIZE];
    struct text t = text_of(line, sizeof(line));
    if (share >= 0) add_bar(&t, share > 1 ? 1 : share);
    text_add(&t, "%s %s  %s/s", cli_count(done, count), p->what, cli_count((uint64_t)rate, speed));
    if (share > 0.001 && seconds > 1) add_time_left(&t, seconds * (1 - share) / share);
    if (note[0] != '\0') text_add(&t, "  %s", note);
    uint32_t columns = host_terminal_columns(fileno(stderr));
    if (t.size > columns - 1) line[columns - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    p->is_drawn = true;
}

void progress_clear(struct progress *p)
{
    if (!p->is_drawn) return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
    p->is_drawn = false;
}
