# Installing what was built: included by the Makefile, and usable by itself.
#
#   make install PREFIX=/usr/local DESTDIR=
#   make uninstall
#
# Nothing is built here: `make` comes first, and `make command` where the command
# is wanted too. What was not built is left out, except for the library.

PREFIX       ?= /usr/local
BINDIR       ?= $(PREFIX)/bin
LIBDIR       ?= $(PREFIX)/lib
INCLUDEDIR   ?= $(PREFIX)/include
MANDIR       ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR     ?= $(LIBDIR)/cmake/auditrail

# Where the built library is, and where the command, its pages and completions.
INSTALL_FROM         ?= target/release
INSTALL_COMMAND_FROM ?= build

here     := $(dir $(lastword $(MAKEFILE_LIST)))
version   = $(shell sed -n 's/^\#define AUDITRAIL_VERSION "\(.*\)"/\1/p' $(here)include/auditrail.h)
major     = $(firstword $(subst ., ,$(version)))
fill      = sed -e 's|@VERSION@|$(version)|' -e 's|@MAJOR@|$(major)|' -e 's|@PREFIX@|$(PREFIX)|' \
	-e 's|@LIBDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))|' \
	-e 's|@INCLUDEDIR@|$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))|' \
	-e 's|@TO_LIBDIR@|$(shell realpath -ms --relative-to=$(CMAKEDIR) $(LIBDIR))|' \
	-e 's|@TO_INCLUDEDIR@|$(shell realpath -ms --relative-to=$(CMAKEDIR) $(INCLUDEDIR))|'

.PHONY: install uninstall

install:
	@[ -f $(INSTALL_FROM)/libauditrail.so ] || { echo "$(INSTALL_FROM)/libauditrail.so is not there: run make first"; exit 1; }
	install -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(PKGCONFIGDIR) $(DESTDIR)$(CMAKEDIR)
	install -m 755 $(INSTALL_FROM)/libauditrail.so $(DESTDIR)$(LIBDIR)/libauditrail.so.$(version)
	ln -sf libauditrail.so.$(version) $(DESTDIR)$(LIBDIR)/libauditrail.so.$(major)
	ln -sf libauditrail.so.$(major) $(DESTDIR)$(LIBDIR)/libauditrail.so
	install -m 644 $(INSTALL_FROM)/libauditrail.a $(DESTDIR)$(LIBDIR)
	install -m 644 $(here)include/auditrail.h $(here)include/auditrail.hpp $(DESTDIR)$(INCLUDEDIR)
	$(fill) $(here)packaging/auditrail.pc.in >$(DESTDIR)$(PKGCONFIGDIR)/auditrail.pc
	$(fill) $(here)packaging/auditrailConfig.cmake.in >$(DESTDIR)$(CMAKEDIR)/auditrailConfig.cmake
	$(fill) $(here)packaging/auditrailConfigVersion.cmake.in >$(DESTDIR)$(CMAKEDIR)/auditrailConfigVersion.cmake
	@if [ -x $(INSTALL_COMMAND_FROM)/auditrail ]; then set -e; \
		install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1; \
		install -m 755 $(INSTALL_COMMAND_FROM)/auditrail $(DESTDIR)$(BINDIR); \
		install -m 644 $(INSTALL_COMMAND_FROM)/man/auditrail*.1 $(DESTDIR)$(MANDIR)/man1; \
		install -D -m 644 $(INSTALL_COMMAND_FROM)/completions/auditrail.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/auditrail; \
		install -D -m 644 $(INSTALL_COMMAND_FROM)/completions/_auditrail $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_auditrail; \
		install -D -m 644 $(INSTALL_COMMAND_FROM)/completions/auditrail.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/auditrail.fish; \
	fi
	@[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libauditrail.so $(DESTDIR)$(LIBDIR)/libauditrail.so.$(major) \
		$(DESTDIR)$(LIBDIR)/libauditrail.so.$(version) $(DESTDIR)$(LIBDIR)/libauditrail.a \
		$(DESTDIR)$(INCLUDEDIR)/auditrail.h $(DESTDIR)$(INCLUDEDIR)/auditrail.hpp \
		$(DESTDIR)$(PKGCONFIGDIR)/auditrail.pc $(DESTDIR)$(BINDIR)/auditrail \
		$(DESTDIR)$(MANDIR)/man1/auditrail.1 $(DESTDIR)$(MANDIR)/man1/auditrail-*.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/auditrail \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_auditrail \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/auditrail.fish
	rm -rf $(DESTDIR)$(CMAKEDIR)
